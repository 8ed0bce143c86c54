# SPDX-License-Identifier: BSD-3-Clause
#
# delta-check=: an image is read, and compared with the digests that were kept beside it.
load ../../lib

# monday.qcow2, and tuesday.qcow2 over it; digests of what tuesday.qcow2 shows, made by a run of the delta filter.
prepare() {
    random_file monday.raw 4M 1
    fallocate --punch-hole --offset 1M --length 1M monday.raw
    cp monday.raw tuesday.raw
    random_file change 256K 2
    dd if=change of=tuesday.raw bs=64K seek=40 conv=notrunc status=none
    qemu-img convert -f raw -O qcow2 monday.raw monday.qcow2
    qemu-img create -q -f qcow2 -b monday.qcow2 -F qcow2 tuesday.qcow2
    qemu-io -f qcow2 -c 'write -s change 2560K 256K' tuesday.qcow2
    nbdkit -U - --filter="$DELTA" file tuesday.raw delta-digests=digests delta-owed=state --run 'nbdinfo --map "$uri"' > map
    mv digests.next tuesday.digests
}

checked() { start src --filter="$DELTA" "$QCOW2" file="${1:-tuesday.qcow2}" read-only=on backing=auto delta-check=tuesday.digests; }
# One request at a time: nbdkit 1.32 may abort when a client goes that waits for several.
restore() { nbdcopy --connections=1 --requests=1 "$(uri src)" restored.raw; }
client() { /usr/bin/python3 -c "import nbd; h = nbd.NBD(); h.connect_uri('$(uri src)'); $1"; }

@test "an image that is whole is read, and stays thin" {
    checked
    restore
    same tuesday.raw restored.raw
    nbdinfo --map --totals "$(uri src)" > totals
    grep -E '^ *1048576 .* hole,zero' totals
    [ "$(nbdinfo --list --json "$(uri src)" | jq '.exports | length')" = 1 ]
    must_fail client 'h.pwrite(b"x", 0)'
    qemu-img convert -f raw -O raw "$(uri src)" again.raw
    same tuesday.raw again.raw
    stop src
    must_fail grep -q "is not what was written" src.log
}

@test "a byte of the image that has rotted" {
    /usr/bin/python3 - <<'PY'
change = open("change", "rb").read()
image = bytearray(open("tuesday.qcow2", "rb").read())
at = image.index(change[65536:66000])
image[at + 100] ^= 4
open("tuesday.qcow2", "wb").write(image)
PY
    checked
    must_fail restore
    grep "the block of 65536 bytes at offset $((41 * 65536)) is not what was written" src.log
    # Unaligned, and elsewhere.
    must_fail client 'h.pread(1, 42 * 65536 - 1)'
    client 'h.pread(65537, 42 * 65536)'
}

@test "a layer below that was replaced, by an older one and by an empty one" {
    random_file other.raw 4M 3
    qemu-img convert -f raw -O qcow2 other.raw monday.qcow2
    checked
    must_fail restore
    grep "at offset 0 is not what was written" src.log
    stop src

    # All that it shows is a hole: a client that reads no holes has to learn of it too.
    qemu-img create -f qcow2 monday.qcow2 4M
    checked
    must_fail restore
    grep "at offset 0 is not what was written" src.log
    nbdinfo --map --totals "$(uri src)" | grep -E '^ *3145728 .* 0 data'
}

@test "digests that are damaged, or of something else, are refused" {
    common=(timeout 60 nbdkit -U - --filter="$DELTA" "$QCOW2" file=tuesday.qcow2 read-only=on backing=auto)
    refuses "no such file" "${common[@]}" delta-check=none --run true
    refuses "not a file of digests" "${common[@]}" delta-check=change --run true
    refuses "no other parameter" "${common[@]}" delta-check=tuesday.digests delta-zeroes=data --run true
    refuses "must not be empty" "${common[@]}" delta-check= --run true
    truncate -s -16 tuesday.digests
    refuses "should have" "${common[@]}" delta-check=tuesday.digests --run true
}

@test "digests of a disk of another size are refused" {
    qemu-img resize tuesday.qcow2 5M
    checked
    must_fail nbdinfo "$(uri src)"
    grep "the digests are of a disk of 4194304 bytes, and this one has 5242880" src.log
}
