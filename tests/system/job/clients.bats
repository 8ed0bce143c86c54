# SPDX-License-Identifier: BSD-3-Clause
#
# Each client copies the whole disk and two increments correctly, also with the options with which it would not
# do so without delta and apply.
load ../job

@test "nbdcopy" { whole_then_increment nbdcopy; }
@test "nbdcopy --destination-is-zero" { whole_then_increment nbdcopy --destination-is-zero; }
@test "nbdcopy -S 0" { whole_then_increment nbdcopy -S 0; }
@test "nbdcopy --destination-is-zero -S 0" { whole_then_increment nbdcopy --destination-is-zero -S 0; }
@test "nbdcopy --allocated" { whole_then_increment nbdcopy --allocated; }
@test "nbdcopy -C 1 -R 1" { whole_then_increment nbdcopy -C 1 -R 1; }
@test "nbdcopy --synchronous" { whole_then_increment nbdcopy --synchronous; }
@test "qemu-img convert -n" { whole_then_increment qemu-img; }
@test "qemu-img convert -n --target-is-zero" { whole_then_increment qemu-img --target-is-zero; }
@test "qemu-img convert -n -W -m 16" { whole_then_increment qemu-img -W -m 16; }
@test "qemu-img convert -n --target-is-zero -W -m 16" { whole_then_increment qemu-img --target-is-zero -W -m 16; }
