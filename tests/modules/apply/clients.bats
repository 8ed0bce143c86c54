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

@test "nbdcopy --flush over a layer below that has no flush" {
    source_server
    cp --sparse=never base.raw dst.raw
    cat > plugin.sh <<'EOF'
case "$1" in
    get_size) stat -c %s "$DISK" ;;
    pread) dd if="$DISK" skip="$4" count="$3" iflag=skip_bytes,count_bytes bs=64K status=none ;;
    can_write) exit 0 ;;
    pwrite) dd of="$DISK" seek="$4" conv=notrunc oflag=seek_bytes iflag=fullblock bs=64K status=none ;;
    *) exit 2 ;;
esac
EOF
    chmod +x plugin.sh
    DISK=$PWD/dst.raw start dst --filter="$APPLY" sh plugin.sh apply-from="$(uri src)" apply-state="$PWD/web1.state"
    timeout 60 nbdcopy --flush "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
    [ -z "$(grep 'error: ' dst.log | grep -v 'error: warning: ')" ]
}
