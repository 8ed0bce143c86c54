# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "an image of qemu-img is opened, read and written" {
    small_file disk
    random_file part 1M 9
    for options in cluster_size=4k cluster_size=2M preallocation=metadata lazy_refcounts=on \
        cluster_size=512,refcount_bits=1 cluster_size=512,refcount_bits=64 refcount_bits=2 refcount_bits=4 \
        refcount_bits=8 refcount_bits=32; do
        qemu-img convert -O qcow2 -o "$options" disk image.qcow2
        start q "$QCOW2" image.qcow2
        copy "$(uri q)" back
        same disk back
        shell q -c 'h.pwrite(open("part", "rb").read(), 777)'
        stop q
        dd if=part of=back bs=777 seek=1 conv=notrunc status=none
        sound image.qcow2
        qemu-img compare -f raw -F qcow2 back image.qcow2
        # QEMU continues with it.
        qemu-io -c 'write -P 7 1M 1M' image.qcow2 > /dev/null
        sound image.qcow2
    done
}

@test "a dirty image of QEMU, zeroed clusters and a backing file of version 2 are read and written" {
    qemu-img create -q -f qcow2 -o lazy_refcounts=on image.qcow2 20M
    qemu-io -c 'write -P 1 0 5M' -c 'write -z 1M 1M' -c flush -c abort image.qcow2 > /dev/null 2>&1 || true
    start q "$QCOW2" image.qcow2
    grep -q "not closed cleanly: rebuilding" q.log
    shell q -c 'assert h.pread(3145728, 0) == b"\1" * 1048576 + bytes(1048576) + b"\1" * 1048576' \
        -c 'h.pwrite(b"\2" * 100, 1500000)'
    stop q
    sound image.qcow2

    qemu-img create -q -f qcow2 -o compat=0.10 old.qcow2 20M
    qemu-io -c 'write -P 3 1000k 3M' old.qcow2 > /dev/null
    qemu-img snapshot -c one old.qcow2
    start o "$QCOW2" over.qcow2 backing=old.qcow2 backing-format=qcow2
    shell o -c 'h.pwrite(b"\4" * 1000, 2000000)'
    stop o
    sound over.qcow2
    qemu-io -c 'read -P 3 1000k 976000' -c 'read -P 4 2000000 1000' -c 'read -P 3 2001000 1000000' \
        over.qcow2 > read.log
    cat read.log
    must_fail grep -q failed read.log
}

@test "persistent bitmaps are dropped by the first write, and not before" {
    sparse_file disk
    qemu-img convert -O qcow2 disk image.qcow2
    qemu-img bitmap --add image.qcow2 one
    cp image.qcow2 before.qcow2
    start r "$QCOW2" image.qcow2 read-only=on
    copy "$(uri r)" back
    stop r
    same disk back
    start q "$QCOW2" image.qcow2
    copy "$(uri q)" back
    stop q
    same before.qcow2 image.qcow2
    start w "$QCOW2" image.qcow2
    grep -q "persistent bitmaps: they become invalid" w.log
    shell w -c 'h.pwrite(b"x" * 1000, 100000)'
    stop w
    printf 'x%.0s' $(seq 1000) | dd of=disk bs=1000 seek=100 conv=notrunc status=none
    sound image.qcow2
    must_fail grep -q 'name: one' <(qemu-img info image.qcow2)
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    # QEMU continues with it, and drops what is left of them.
    qemu-io -c 'write -P 7 1M 5M' image.qcow2 > /dev/null
    sound image.qcow2
}

@test "a smaller size= than that of the image is refused, a larger one enlarges it" {
    qemu-img create -q -f qcow2 image 1M
    qemu-io -c 'write -P 7 0 1M' image > /dev/null
    refuses "is not made smaller" timeout 60 nbdkit -U - "$QCOW2" image size=512K --run true
    refuses "read-only=on" timeout 60 nbdkit -U - "$QCOW2" image size=2M read-only=on --run true
    [ "$(qemu-img info --output=json image | jq '."virtual-size"')" = 1048576 ]
    timeout 60 nbdkit -U - "$QCOW2" image size=2M --run 'nbdinfo --size "$uri"' | grep -x 2097152
    sound image
    [ "$(qemu-img info --output=json image | jq '."virtual-size"')" = 2097152 ]
    qemu-io -c 'read -P 7 0 1M' -c 'read -P 0 1M 1M' image | grep -c 'read 1048576/1048576' | grep -x 2
}

@test "a zero cluster with space of its own is zero, and not a hole" {
    qemu-img create -q -f qcow2 -o preallocation=metadata image.qcow2 4M
    qemu-io -c 'write -P 1 0 4M' -c 'write -z 1M 1M' image.qcow2 > /dev/null
    start q "$QCOW2" image.qcow2
    timeout 60 nbdinfo --map "$(uri q)" | awk '{print $1, $2, $3}' > map
    diff map - <<'MAP'
0 1048576 0
1048576 1048576 2
2097152 2097152 0
MAP
    shell q -c 'h.pwrite(b"\2" * 100, 1048576)'
    stop q
    sound image.qcow2
    qemu-io -r -c 'read -P 2 1M 100' -c 'read -P 0 1048676 65436' image.qcow2 > read.log
    must_fail grep -q failed read.log
}

@test "an image that cannot be written is refused with the reason" {
    qemu-img create -q -f qcow2 ok.qcow2 1M
    qemu-img create -q -f qcow2 -o compat=0.10 image 1M
    refuses "amend -o compat=1.1" try image
    qemu-img create -q -f qcow2 -o extended_l2=on image 1M
    refuses "extended L2" try image
    qemu-img create -q -f qcow2 -o data_file=data image 1M
    refuses "external data file" try image
    cp ok.qcow2 image
    qemu-img snapshot -c one image
    refuses "1 internal snapshots" try image
    random_file plain 1M
    refuses "not a QCOW2 image" try plain
    refuses "size= is required" try new.qcow2
    refuses "create=never" try new.qcow2 create=never
    refuses "cannot open" try nowhere/new.qcow2 size=1M
    [ ! -e new.qcow2 ]
}

@test "create=always replaces an image, auto keeps it" {
    random_file disk 1M
    start q1 "$QCOW2" image.qcow2 size=1M
    copy disk "$(uri q1)"
    stop q1
    start q2 "$QCOW2" image.qcow2 size=1M create=auto
    copy "$(uri q2)" back
    same disk back
    stop q2
    start q3 "$QCOW2" image.qcow2 size=2M create=always
    [ "$(nbdinfo --size "$(uri q3)")" = 2097152 ]
    nbdinfo --map "$(uri q3)" | grep -q '2097152  *3  *hole,zero'
    stop q3
    sound image.qcow2
    [ "$(ls)" = "$(ls | grep -v tmp)" ]
}

@test "read-only=on changes nothing, and reads what cannot be written" {
    small_file disk
    for options in compat=0.10 refcount_bits=1 lazy_refcounts=on; do
        qemu-img convert -O qcow2 -o "$options" disk image.qcow2
        qemu-img snapshot -c one image.qcow2 || [ $options = refcount_bits=1 ]
        qemu-io -c 'write -P 5 1M 64k' image.qcow2 > /dev/null || true
        sha256sum image.qcow2 > before
        qemu-img convert -O raw image.qcow2 model
        start "r$options" "$QCOW2" image.qcow2 read-only=on
        nbdinfo --is read-only "$(uri "r$options")"
        # Others may read it too.
        qemu-img info image.qcow2 > /dev/null
        copy "$(uri "r$options")" back
        stop "r$options"
        same model back
        sha256sum -c before
    done
    # Left dirty: read as it is.
    qemu-img create -q -f qcow2 -o lazy_refcounts=on dirty.qcow2 20M
    qemu-io -c 'write -P 1 0 5M' -c flush -c abort dirty.qcow2 > /dev/null 2>&1 || true
    sha256sum dirty.qcow2 > before
    start d "$QCOW2" dirty.qcow2 read-only=on
    shell d -c 'assert h.pread(5242880, 0) == b"\1" * 5242880'
    stop d
    sha256sum -c before
    refuses "create=always" try image.qcow2 read-only=on create=always
    refuses "seal=on" try image.qcow2 read-only=on seal=on
    refuses "cannot open" try nothing.qcow2 read-only=on
}

# mark_corrupt IMAGE: sets the bit that QEMU sets when it finds an error in the tables.
mark_corrupt() {
    /usr/bin/python3 - "$1" <<'PY'
import sys
with open(sys.argv[1], "r+b") as image:
    image.seek(79)
    bits = image.read(1)[0]
    image.seek(79)
    image.write(bytes([bits | 2]))
PY
}

@test "an image that is marked corrupt is read with read-only=on, and never written over" {
    sparse_file disk
    qemu-img convert -O qcow2 disk image.qcow2
    qemu-img create -q -f qcow2 -b image.qcow2 -F qcow2 over.qcow2
    mark_corrupt image.qcow2
    sha256sum image.qcow2 > before
    refuses "image.qcow2 is marked corrupt: run qemu-img check -r all on it, or give read-only=on" try image.qcow2
    refuses "/image.qcow2 is marked corrupt" try new.qcow2 backing=image.qcow2 backing-format=qcow2
    must_fail test -e new.qcow2
    refuses "image.qcow2 is marked corrupt" try over.qcow2 backing=image.qcow2 backing-format=qcow2
    for image in image.qcow2 over.qcow2; do
        start r "$QCOW2" $image read-only=on backing=auto
        copy "$(uri r)" back
        stop r
        same disk back
        rm back
    done
    sha256sum -c before
}
