# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "a disk is copied compressed, and qemu-img finds it sound, equal and of the type" {
    # The last cluster is not whole.
    text_file disk 8193K
    for options in "zstd 64K" "zlib 64K" "zlib 512" "zstd 4K 9" "zlib 4K 12" "zstd 2M 1"; do
        read -r type cluster level <<< "$options"
        start q "$QCOW2" image.qcow2 create=always size=8193K cluster-size="$cluster" \
            compress="$type" ${level:+compress-level=$level}
        copy --flush disk "$(uri q)"
        copy "$(uri q)" back
        same disk back
        stop q
        sound image.qcow2
        qemu-img compare -f raw -F qcow2 disk image.qcow2
        qemu-img info image.qcow2 | tee info
        grep -q "compression type: $type" info
        qemu-img check image.qcow2 | tee check
        grep -q " compressed clusters" check
        must_fail grep -q " 0.00% compressed" check
        # No larger than what qemu-img makes of it: a hundredth for chance, and half a MiB for tables.
        qemu-img convert -c -O qcow2 -o cluster_size="$cluster",compression_type="$type" disk theirs.qcow2
        [ "$(stat -c %s image.qcow2)" -le $(( $(stat -c %s theirs.qcow2) * 101 / 100 + 524288 )) ]
    done
}

@test "a compressed image is opened again and appended to; its type stays" {
    text_file disk 16M
    text_file other 3M 7
    qemu-img convert -c -O qcow2 -o compression_type=zstd disk image.qcow2
    refuses "its compression type is zstd, which cannot be changed; use compress=zstd" \
        timeout 60 nbdkit -U - "$QCOW2" image.qcow2 compress=zlib --run true
    for i in 1 2 3; do
        start "q$i" "$QCOW2" image.qcow2 compress=zstd
        shell "q$i" -c "h.pwrite(open('other', 'rb').read(), $i * 4000001)"
        stop "q$i"
        dd if=other of=disk bs=1M seek=$((i * 4000001)) oflag=seek_bytes conv=notrunc status=none
        sound image.qcow2
        qemu-img compare -f raw -F qcow2 disk image.qcow2
    done
    # And by qemu, and by us without compression.
    qemu-io -c 'write -P 5 1M 300k' image.qcow2 > /dev/null
    start q "$QCOW2" image.qcow2
    shell q -c 'assert h.pread(307200, 1048576) == b"\5" * 307200' -c 'h.pwrite(b"\6" * 70000, 9000000)' \
        -c 'assert h.pread(70000, 9000000) == b"\6" * 70000'
    stop q
    sound image.qcow2
}

@test "compressed, sealed and followed: a full copy, then an overlay of it" {
    text_file disk 5M
    start a "$QCOW2" full.qcow2 size=5M compress=zstd seal=on
    copy --flush disk "$(uri a)"
    [ ! -e full.qcow2 ]
    stop a
    sound full.qcow2
    [ ! -e full.qcow2.partial ]
    start b "$QCOW2" over.qcow2 backing=full.qcow2 backing-format=qcow2 compress=zlib
    shell b -c 'h.pwrite(b"tuesday" * 20000, 1000000)' -c 'h.pwrite(b"y" * 1000, 3000000)'
    stop b
    sound over.qcow2
    /usr/bin/python3 -c 'f = open("disk", "r+b"); f.seek(1000000); f.write(b"tuesday" * 20000)
f.seek(3000000); f.write(b"y" * 1000)'
    qemu-img compare -f raw -F qcow2 disk over.qcow2
    for option in compress=zlib read-only=on; do
        nbdkit -U - "$QCOW2" over.qcow2 backing=auto "$option" --run 'timeout 60 nbdcopy "$uri" back'
        cmp disk back
    done
}

@test "wrong levels and types are refused, and the message says what is allowed" {
    try() { timeout 60 nbdkit -U - "$QCOW2" image.qcow2 size=1M "$@" --run true; }
    refuses "must be none, zlib or zstd" try compress=gzip
    refuses "compress-level=3 cannot be used without compress=" try compress-level=3
    refuses "compress-level=13: must be between 1 and 12 with compress=zlib" try compress-level=13 \
        compress=zlib
    refuses "preallocate= cannot be used with compress=zstd" try compress=zstd preallocate=falloc
    refuses "read-only=on cannot be used with compress=zlib" try compress=zlib read-only=on
    refuses "compress-level=0" try compress=zstd compress-level=0
    refuses "compress-level=23" try compress=zstd compress-level=23
    [ ! -e image.qcow2 ]
}

@test "the example of the manual: a compressed full copy" {
    text_file disk.img 5M
    nbdkit -U - "$QCOW2" web1-full.qcow2 size=5M compress=zstd \
        --run 'timeout 60 nbdcopy --flush disk.img "$uri"'
    sound web1-full.qcow2
    qemu-img compare -f raw -F qcow2 disk.img web1-full.qcow2
    [ "$(stat -c %s web1-full.qcow2)" -lt 4000000 ]
}
