# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "an overlay holds what was written and shows its backing file below" {
    sparse_file base.raw
    qemu-img convert -O qcow2 base.raw base.qcow2
    for format in raw qcow2; do
        cp base.raw model
        start "q$format" "$QCOW2" "over-$format.qcow2" "backing=base.$format" \
            "backing-format=$format"
        shell "q$format" -c 'assert h.get_size() == 24577*1024' \
            -c 'h.pwrite(b"a" * 100, 200000)' -c 'h.zero(300000, 250001)' -c 'h.trim(2097152, 15728640)' \
            -c 'h.pwrite(bytes(262144), 17825792)' -c 'h.pwrite(b"b" * 200000, 24966848)'
        stop "q$format"
        /usr/bin/python3 - <<'PY'
with open("model", "r+b") as f:
    for at, data in (200000, b"a" * 100), (250001, bytes(300000)), (15728640, bytes(2097152)), \
                    (17825792, bytes(262144)), (24966848, b"b" * 200000):
        f.seek(at)
        f.write(data)
PY
        sound "over-$format.qcow2"
        qemu-img compare -f raw -F qcow2 model "over-$format.qcow2"
        qemu-img info "over-$format.qcow2" | grep -q "^backing file: base.$format"
        qemu-img info "over-$format.qcow2" | grep -q "^backing file format: $format"
        # Read again here, and by qemu-img from elsewhere.
        start "again$format" "$QCOW2" "over-$format.qcow2" create=never backing=auto
        copy "$(uri "again$format")" back
        same model back
        stop "again$format"
        (cd / && qemu-img compare -f raw -F qcow2 "$OLDPWD/model" "$OLDPWD/over-$format.qcow2")
    done
    qemu-img compare -f raw -F qcow2 base.raw base.qcow2
}

@test "a backing file is followed only if that is asked for" {
    random_file secret 1M
    qemu-img create -q -f qcow2 -b "$PWD/secret" -F raw over.qcow2
    refuses "not followed unasked" try over.qcow2
    refuses "not followed unasked" try over.qcow2 read-only=on
    for how in backing=auto "backing=secret backing-format=raw"; do
        # shellcheck disable=SC2086
        timeout 60 nbdkit -U - "$QCOW2" over.qcow2 $how --run 'timeout 60 nbdcopy "$uri" back'
        same secret back
    done
    mkdir sub
    qemu-img create -q -f qcow2 -b "$PWD/over.qcow2" -F qcow2 sub/top.qcow2
    refuses "not in the same directory" try sub/top.qcow2 "backing=over.qcow2" backing-format=qcow2
    try sub/top.qcow2 backing=auto
    # A loop, a name that means a protocol.
    qemu-img create -q -f qcow2 a.qcow2 1M
    qemu-img rebase -u -F qcow2 -b a.qcow2 a.qcow2
    refuses "its own backing chain" try a.qcow2 backing=auto
    for name in 'json:{"driver":"raw"}' nbd://localhost/x; do
        qemu-img create -q -f qcow2 b.qcow2 1M
        qemu-img rebase -u -F raw -b "$name" b.qcow2
        refuses "must be a plain file" try b.qcow2 backing=auto
    done
}

# nbdkit gives a thread the same buffer for each of its requests.
@test "a read after a read of data shows none of it: zeroes, holes, and what is beyond a shorter backing file" {
    random_file base.raw 1000000
    nbdkit -U - "$QCOW2" base.qcow2 backing=base.raw backing-format=raw size=1M --run true
    for format in raw qcow2; do
        start "$format" -t 1 "$QCOW2" "over-$format.qcow2" "backing=base.$format" "backing-format=$format" size=4M
        shell "$format" -c 'd = b"x" * (1 << 20)' -c 'h.pwrite(d, 2 << 20)' -c 'h.zero(65536, 2 << 20)' \
            -c 'for at in (1 << 20, 3 << 20, 1000000): assert h.pread(1 << 20, (2 << 20) + 65536)[:900000] == d[:900000]; assert h.pread(48576, at) == bytes(48576), at' \
            -c 'assert h.pread(65536, 2 << 20) == bytes(65536)'
        stop "$format"
    done
}
