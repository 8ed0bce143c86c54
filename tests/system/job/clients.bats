# SPDX-License-Identifier: BSD-3-Clause
#
# Clients copy the whole disk and an increment from a vCenter to an image and two further destinations: each as it is,
# and with the options with which it would not do so without delta and apply. Each of their options: increments.bats.
load ../job

@test "nbdcopy" { whole_then_increment nbdcopy; }
@test "nbdcopy --destination-is-zero -S 0" { whole_then_increment nbdcopy --destination-is-zero -S 0; }
@test "qemu-img convert -n" { whole_then_increment qemu-img; }
@test "qemu-img convert -n --target-is-zero -W -m 16" { whole_then_increment qemu-img --target-is-zero -W -m 16; }
