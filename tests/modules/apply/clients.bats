# SPDX-License-Identifier: BSD-3-Clause
#
# Stock clients with their usual options.
load ../../lib
load apply

@test "nbdcopy" {
    copies nbdcopy "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --destination-is-zero" {
    copies nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -S 0" {
    copies nbdcopy -S 0 "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -S 0 --destination-is-zero --flush" {
    copies nbdcopy -S 0 --destination-is-zero --flush "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --allocated" {
    copies nbdcopy --allocated "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -C 1 -R 1" {
    copies nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --synchronous" {
    copies nbdcopy --synchronous "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n" {
    copies qemu-img convert -n -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n --target-is-zero" {
    copies qemu-img convert -n --target-is-zero -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n -W -m 16" {
    copies qemu-img convert -n -W -m 16 -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n --target-is-zero -W -m 16" {
    copies qemu-img convert -n --target-is-zero -W -m 16 -f raw -O raw "$(uri src)" "$(uri dst)"
}
