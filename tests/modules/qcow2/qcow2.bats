# SPDX-License-Identifier: BSD-3-Clause
load ../../lib

# nbdsh of the system's Python, on a server started with start.
shell() {
    local name=$1
    shift
    PATH=/usr/bin:/bin timeout 60 nbdsh --uri "$(uri "$name")" "$@"
}
# Like the teardown of all tests; one of them mounts something.
eval "$(declare -f teardown | sed 's/^teardown/stop_servers/')"
teardown() {
    stop_servers
    if mountpoint -q "$BATS_TEST_TMPDIR/small"; then umount -l "$BATS_TEST_TMPDIR/small"; fi
}
copy() { timeout 120 nbdcopy "$@"; }

# sparse_file FILE: 24 MiB and a bit with data, holes, and zeroes that are data.
sparse_file() {
    random_file part 6M "${2:-1}"
    truncate -s 24577K "$1"
    dd if=part of="$1" bs=64k seek=3 conv=notrunc status=none
    dd if=part of="$1" bs=1000 seek=15000 conv=notrunc status=none
    dd if=/dev/zero of="$1" bs=1M seek=22 count=1 conv=notrunc status=none
}

@test "a disk is copied to a new image, which qemu-img finds sound and equal" {
    sparse_file disk
    for cluster in 512 4K 64K 2M; do
        start "q$cluster" "$QCOW2" "file=$cluster.qcow2" size=24577K cluster-size=$cluster
        copy --flush disk "$(uri "q$cluster")"
        copy "$(uri "q$cluster")" back
        same disk back
        stop "q$cluster"
        sound "$cluster.qcow2"
        qemu-img compare -f raw -F qcow2 disk "$cluster.qcow2"
        qemu-img info "$cluster.qcow2" | grep -q "cluster_size: $(numfmt --from=iec "$cluster")"
    done
}

@test "the image is clean as soon as the last connection has gone, and takes more afterwards" {
    sparse_file disk
    start q "$QCOW2" image.qcow2 size=24577K
    copy disk "$(uri q)"
    until_true 10 sound_unlocked image.qcow2
    random_file other 1M 7
    shell q -c 'h.pwrite(open("other", "rb").read(), 5000000)'
    until_true 10 sound_unlocked image.qcow2
    stop q
    sound image.qcow2
    dd if=other of=disk bs=1000 seek=5000 conv=notrunc status=none
    qemu-img compare -f raw -F qcow2 disk image.qcow2
}
# The server holds its locks: look at a copy.
sound_unlocked() { cp "$1" copy.qcow2 && qemu-img check -q copy.qcow2 2> /dev/null; }

@test "SIGTERM with a client connected leaves a sound image" {
    start q "$QCOW2" image.qcow2 size=10M
    /usr/bin/python3 - "$(uri q)" > python.log 2>&1 <<'PY' &
import nbd, sys, time
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(b"x" * 3000000, 1000)
open("written", "w").close()
while True:
    h.pread(512, 0)
PY
    until_true 20 [ -e written ]
    stop q
    sound image.qcow2
    run qemu-io -r -c 'read -P 0x78 1000 3000000' image.qcow2
    [[ "$output" == *'read 3000000/3000000 bytes'* && "$output" != *'verification failed'* ]]
}

@test "many connections write one image" {
    random_file disk 64M
    start q "$QCOW2" image.qcow2 size=64M
    nbdinfo --can multi-conn "$(uri q)"
    copy -C 8 -T 8 --request-size=65536 disk "$(uri q)"
    stop q
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
}

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

@test "extents say data, hole and zero, through the backing file" {
    truncate -s 8M base.raw
    random_file part 1M
    dd if=part of=base.raw bs=1M seek=1 conv=notrunc status=none
    start q "$QCOW2" over.qcow2 backing=base.raw backing-format=raw size=10M
    shell q -c 'h.pwrite(b"a" * 65536, 4*1048576)' -c 'h.zero(524288, 1048576)'
    timeout 20 nbdinfo --map "$(uri q)" | awk '{print $1, $2, $3}' > map
    cat map
    diff map - <<'MAP'
0 1572864 3
1572864 524288 0
2097152 2097152 3
4194304 65536 0
4259840 6225920 3
MAP
}

@test "an image of qemu-img is opened, read and written" {
    sparse_file disk
    for options in cluster_size=4k cluster_size=2M preallocation=metadata lazy_refcounts=on \
        cluster_size=512,refcount_bits=1 cluster_size=512,refcount_bits=64 refcount_bits=2 refcount_bits=4 \
        refcount_bits=8 refcount_bits=32; do
        qemu-img convert -O qcow2 -o "$options" disk image.qcow2
        start q "$QCOW2" image.qcow2
        copy "$(uri q)" back
        same disk back
        random_file part 3M 9
        shell q -c 'h.pwrite(open("part", "rb").read(), 777)'
        stop q
        dd if=part of=back bs=777 seek=1 conv=notrunc status=none
        sound image.qcow2
        qemu-img compare -f raw -F qcow2 back image.qcow2
        # And qemu goes on with it.
        qemu-io -c 'write -P 7 1M 5M' image.qcow2 > /dev/null
        sound image.qcow2
    done
}

@test "what qemu leaves half done is taken over: a dirty image, zeroed clusters, an older backing file" {
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
    # QEMU goes on with it, and drops what is left of them.
    qemu-io -c 'write -P 7 1M 5M' image.qcow2 > /dev/null
    sound image.qcow2
}

@test "read-only=on changes nothing, and reads what cannot be written" {
    sparse_file disk
    try() { timeout 20 nbdkit -U - "$QCOW2" "$@" --run true; }
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

@test "a backing file is followed only if that is asked for" {
    random_file secret 1M
    qemu-img create -q -f qcow2 -b "$PWD/secret" -F raw over.qcow2
    try() { timeout 20 nbdkit -U - "$QCOW2" "$@" --run true; }
    refuses "not followed unasked" try over.qcow2
    refuses "not followed unasked" try over.qcow2 read-only=on
    for how in backing=auto "backing=secret backing-format=raw"; do
        # shellcheck disable=SC2086
        timeout 20 nbdkit -U - "$QCOW2" over.qcow2 $how --run 'timeout 20 nbdcopy "$uri" back'
        same secret back
    done
    mkdir sub
    qemu-img create -q -f qcow2 -b "$PWD/over.qcow2" -F qcow2 sub/top.qcow2
    refuses "which is not beside it" try sub/top.qcow2 "backing=over.qcow2" backing-format=qcow2
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

@test "preallocate= gives a new image its clusters, or its space as well" {
    for how in off metadata falloc; do
        start "q$how" "$QCOW2" "$how.qcow2" size=40M preallocate=$how
        random_file part 3M
        shell "q$how" -c 'h.pwrite(open("part", "rb").read(), 5000000)' \
            -c 'assert h.pread(1048576, 20971520) == bytes(1048576)'
        stop "q$how"
        sound "$how.qcow2"
    done
    qemu-img compare off.qcow2 metadata.qcow2
    qemu-img compare off.qcow2 falloc.qcow2
    [ "$(du -k metadata.qcow2 | cut -f1)" -lt 5000 ]
    [ "$(stat -c %s metadata.qcow2)" -gt 41000000 ]
    [ "$(du -k falloc.qcow2 | cut -f1)" -gt 40000 ]
    nbdkit -U - "$QCOW2" metadata.qcow2 --run 'nbdinfo --map "$uri"' | grep -q '^ *0 *41943040 *0 '
    refuses "makes no sense with backing=" timeout 20 nbdkit -U - "$QCOW2" new.qcow2 backing=off.qcow2 \
        backing-format=qcow2 preallocate=falloc --run true
}

@test "a size that is not the image's is refused: nothing is resized" {
    qemu-img create -q -f qcow2 image 1M
    refuses "is not resized here" timeout 20 nbdkit -U - "$QCOW2" image size=2M --run true
    [ "$(qemu-img info --output=json image | grep -c '"virtual-size": 1048576')" = 1 ]
}

@test "a zero cluster with space of its own is zero, and not a hole" {
    qemu-img create -q -f qcow2 -o preallocation=metadata image.qcow2 4M
    qemu-io -c 'write -P 1 0 4M' -c 'write -z 1M 1M' image.qcow2 > /dev/null
    start q "$QCOW2" image.qcow2
    timeout 20 nbdinfo --map "$(uri q)" | awk '{print $1, $2, $3}' > map
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

@test "an image that cannot be written is refused, and says why" {
    qemu-img create -q -f qcow2 ok.qcow2 1M
    try() { timeout 20 nbdkit -U - "$QCOW2" "$@" --run true; }
    qemu-img create -q -f qcow2 -o compat=0.10 image 1M && refuses "amend -o compat=1.1" try image
    qemu-img create -q -f qcow2 -o extended_l2=on image 1M && refuses "extended L2" try image
    qemu-img create -q -f qcow2 -o data_file=data image 1M && refuses "external data file" try image
    cp ok.qcow2 image && qemu-img snapshot -c one image && refuses "1 internal snapshots" try image
    random_file plain 1M && refuses "not a QCOW2 image" try plain
    refuses "size= is required" try new.qcow2
    refuses "create=never" try new.qcow2 create=never
    refuses "cannot open" try nowhere/new.qcow2 size=1M
    [ ! -e new.qcow2 ]
}

@test "parameters that make no sense are refused with what is allowed" {
    try() { timeout 20 nbdkit -U - "$QCOW2" image.qcow2 "$@" --run true; }
    refuses "cluster-size=1000" try size=1M cluster-size=1000
    refuses "between 512 and 2M" try size=1M cluster-size=4M
    refuses "cluster-size=3000: must be a power of two" try size=1M cluster-size=3000
    refuses "multiple of 512" try size=1000
    refuses "larger cluster-size=" try size=1T cluster-size=512
    refuses "backing-format=raw or backing-format=qcow2 is required" try backing=base
    refuses "makes no sense without backing=" try size=1M backing-format=raw
    refuses "must be raw or qcow2" try backing=base backing-format=vmdk
    refuses "must be auto, always or never" try size=1M create=perhaps
    refuses "must be on or off" try size=1M detect-zeroes=maybe
    refuses "unknown parameter" try size=1M compact=yes
    refuses "must be on or off" try size=1M seal=perhaps
    refuses "must be off, metadata or falloc" try size=1M preallocate=full
    refuses "l2-cache=1000" try size=1M l2-cache=1000
    refuses "l2-cache=5G" try size=1M l2-cache=5G
    refuses "cannot open" try backing=base backing-format=raw
    [ ! -e image.qcow2 ]
}

@test "a huge scattered disk takes little memory" {
    start q "$QCOW2" image.qcow2 size=62T l2-cache=1M
    /usr/bin/python3 - "$(uri q)" "$(cat q.pid)" <<'PY'
import nbd, random, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
r = random.Random(3)
places = {r.randrange(h.get_size() // 65536) * 65536: i for i in range(8000)}
for at, i in places.items():
    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"%-512d" % i)), at, completion=lambda e: 1)
    while h.aio_in_flight() >= 64:
        h.poll(-1)
while h.aio_in_flight() > 0:
    h.poll(-1)
h.flush()
assert all(h.pread(512, at) == b"%-512d" % i for at, i in places.items())
peak = [line for line in open(f"/proc/{sys.argv[2]}/status") if line.startswith("VmHWM")]
print(peak)
assert int(peak[0].split()[1]) < 40000
PY
    stop q
    sound image.qcow2
}

@test "an image in use is refused, here and by qemu-img" {
    start q "$QCOW2" image.qcow2 size=1M
    refuses "in use by another process" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 --run true
    refuses "in use by another process" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 size=1M \
        create=always --run true
    refuses 'Failed to get' qemu-img check image.qcow2
    refuses 'Failed to get' qemu-io -c 'write 0 512' image.qcow2
    stop q
    start_qemu n -f qcow2 image.qcow2
    refuses "in use by another process" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 --run true
    refuses "being written" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 read-only=on --run true
    refuses "being written" timeout 20 nbdkit -U - "$QCOW2" over.qcow2 backing=image.qcow2 \
        backing-format=qcow2 --run true
    [ ! -e over.qcow2 ]
    stop n
    # Who only reads shares with who only reads, here and there, and keeps writers out.
    start r "$QCOW2" image.qcow2 read-only=on
    timeout 20 nbdkit -U - "$QCOW2" image.qcow2 read-only=on --run true
    timeout 20 nbdkit -U - "$QCOW2" over.qcow2 backing=image.qcow2 backing-format=qcow2 --run true
    qemu-img check -q image.qcow2
    refuses "in use by another process" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 --run true
    refuses 'Failed to get' qemu-io -c 'write 0 512' image.qcow2
    refuses 'Failed to get' timeout 20 qemu-nbd --socket="$PWD/w.sock" -f qcow2 image.qcow2
    stop r
    start_qemu m --read-only --shared=4 -f qcow2 image.qcow2
    timeout 20 nbdkit -U - "$QCOW2" image.qcow2 read-only=on --run true
    refuses "in use by another process" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 --run true
    stop m
    # The backing file of an image that is served, and of one that QEMU serves.
    start o "$QCOW2" over.qcow2 backing=auto
    refuses 'Failed to get' qemu-io -c 'write 0 512' image.qcow2
    refuses "in use by another process" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 --run true
    stop o
    start_qemu p -f qcow2 over.qcow2
    refuses "in use by another process" timeout 20 nbdkit -U - "$QCOW2" image.qcow2 --run true
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

@test "zeroes are zero clusters, unless detect-zeroes=off" {
    for detect in on off; do
        start "q$detect" "$QCOW2" "$detect.qcow2" size=8M detect-zeroes=$detect
        shell "q$detect" -c 'h.pwrite(bytes(4*1048576), 100)'
        stop "q$detect"
        sound "$detect.qcow2"
    done
    [ "$(stat -c %s on.qcow2)" -lt 500000 ]
    [ "$(stat -c %s off.qcow2)" -gt 4000000 ]
}

@test "zero and trim take 4 GiB at once, and give the space back" {
    random_file part 4M
    start q "$QCOW2" image.qcow2 size=20G
    shell q -c 'd = open("part", "rb").read()' -c 'for i in range(8): h.pwrite(d, i << 31)' \
        -c 'h.zero(0xffff0000, 0)' -c 'h.trim(0xffff0000, 1 << 32)' -c 'h.flush()' \
        -c 'assert h.pread(len(d), 0) == bytes(len(d))' \
        -c 'assert h.pread(len(d), 3 << 31) == bytes(len(d))' \
        -c 'assert h.pread(len(d), 4 << 31) == d'
    stop q
    sound image.qcow2
    [ "$(du -k image.qcow2 | cut -f1)" -lt 18000 ]
}

@test "what was flushed survives kill -9 of the server" {
    for cluster in 512 64K; do
        start "q$cluster" "$QCOW2" "$cluster.qcow2" size=64M cluster-size=$cluster
        /usr/bin/python3 - "$(uri "q$cluster")" "$(cat "q$cluster.pid")" <<'PY'
import nbd, os, random, signal, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
r = random.Random(5)
model = bytearray(32 << 20)
for i in range(300):
    at, n = r.randrange(len(model) - 200000), r.randrange(1, 200000)
    data = bytes(n) if i % 5 == 0 else r.randbytes(n)
    model[at:at + n] = data
    fua = i >= 290
    if i % 7 == 0:
        h.zero(n, at, nbd.CMD_FLAG_FUA if fua else 0)
        model[at:at + n] = bytes(n)
    else:
        h.pwrite(data, at, nbd.CMD_FLAG_FUA if fua else 0)
    if i == 289:
        h.flush()
open("model", "wb").write(model)
# What is not flushed goes elsewhere, many requests in flight when the server dies.
for i in range(60):
    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(r.randbytes(500000))), (32 << 20) + i * 500000)
while h.aio_in_flight() > 30:
    h.poll(-1)
os.kill(int(sys.argv[2]), signal.SIGKILL)
PY
        until_true 10 gone "$(cat "q$cluster.pid")"
        truncate -s 64M model
        cp "$cluster.qcow2" repaired.qcow2
        qemu-img check -r all repaired.qcow2 > /dev/null 2>&1
        sound repaired.qcow2
        # Both repaired by qemu-img and by ourselves.
        start "r$cluster" "$QCOW2" "$cluster.qcow2" create=never
        grep -q "not closed cleanly: rebuilding" "r$cluster.log"
        copy "$(uri "r$cluster")" back
        stop "r$cluster"
        sound "$cluster.qcow2"
        qemu-img convert -O raw repaired.qcow2 back2
        cmp -n $((32 << 20)) model back
        cmp -n $((32 << 20)) model back2
    done
}

@test "seal=on: the image has its name when it is whole, and not before" {
    random_file disk 5M
    try() { timeout 20 nbdkit -U - "$QCOW2" "$@" --run true; }
    # Nobody has written, or flushed: not whole.
    try image.qcow2 size=5M seal=on
    [ -e image.qcow2.partial ] && [ ! -e image.qcow2 ]
    start a "$QCOW2" image.qcow2 size=5M seal=on
    shell a -c 'h.pwrite(b"x" * 1000, 0)' -c 'h.flush()' -c 'h.pwrite(b"y" * 1000, 0)'
    stop a
    grep -q "keeps its name: no client has flushed" a.log
    sound image.qcow2.partial
    [ ! -e image.qcow2 ]
    # Killed: the next run goes on with it.
    start b "$QCOW2" image.qcow2 size=5M seal=on
    copy --flush disk "$(uri b)"
    stop b KILL
    [ ! -e image.qcow2 ]
    start c "$QCOW2" image.qcow2 size=5M seal=on
    copy "$(uri c)" back
    same disk back
    shell c -c 'h.flush()'
    stop c
    [ -e image.qcow2 ] && [ ! -e image.qcow2.partial ]
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    # Whole: not written to again by mistake.
    refuses "is whole" try image.qcow2 size=5M seal=on
    refuses "is whole" try image.qcow2 size=5M seal=on create=never
    cp image.qcow2 before
    random_file disk 5M 2
    start d "$QCOW2" image.qcow2 size=5M seal=on create=always
    copy --flush disk "$(uri d)"
    same before image.qcow2
    stop d
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    [ ! -e image.qcow2.partial ]
    refuses "create=never: there is no" try new.qcow2 seal=on create=never
}

@test "lock=off takes no locks, and asks for none" {
    start q "$QCOW2" image.qcow2 size=1M lock=off
    qemu-img info image.qcow2 > /dev/null
    timeout 20 nbdkit -U - "$QCOW2" image.qcow2 lock=off read-only=on --run true
    stop q
    sound image.qcow2
}

# One request at a time: nbdkit 1.32 may abort (raw_send_socket) when a client leaves with several in
# flight, as nbdcopy does at an error.
fills() {
    /usr/bin/python3 - "$(uri "$1")" <<'PY'
import errno, nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
data = open("disk", "rb").read()
try:
    for at in range(0, len(data), 262144):
        h.pwrite(data[at:at + 262144], at)
    sys.exit("there was room for all")
except nbd.Error as error:
    assert error.errnum == errno.ENOSPC, error
h.flush()
assert h.pread(1048576, 0) == data[:1048576]
PY
}

@test "a full disk is an error for the client, and the image stays sound" {
    random_file disk 8M
    # A limit of the file's length stands for the disk: 4 MiB.
    nbdkit() { trap '' XFSZ; ulimit -f 4096; exec env nbdkit "$@"; }
    start q "$QCOW2" image.qcow2 size=64M
    fills q
    stop q
    sound image.qcow2
}

@test "a full file system is an error for the client, and the image stays sound" {
    mkdir small
    mount -t tmpfs -o size=4M none small 2> /dev/null || skip "cannot mount a tmpfs"
    random_file disk 8M
    start q "$QCOW2" small/image.qcow2 size=64M
    fills q
    stop q
    sound small/image.qcow2
    # Room again: the same command finishes the work.
    mount -o remount,size=40M small
    start q2 "$QCOW2" small/image.qcow2 size=64M
    copy disk "$(uri q2)"
    stop q2
    sound small/image.qcow2
    truncate -s 64M disk
    qemu-img compare -f raw -F qcow2 disk small/image.qcow2
}

@test "the example of the manual: a full copy, then an overlay with what has changed" {
    random_file disk.img 5M
    nbdkit -U - "$QCOW2" web1-mon.qcow2 size=5M --run 'timeout 60 nbdcopy --flush disk.img "$uri"'
    nbdkit -U - "$QCOW2" web1-tue.qcow2 backing=web1-mon.qcow2 backing-format=qcow2 \
        --run 'PATH=/usr/bin:/bin timeout 60 nbdsh -u "$uri" -c "h.pwrite(b\"tuesday\", 3000000)"'
    sound web1-mon.qcow2
    sound web1-tue.qcow2
    qemu-img compare -f raw -F qcow2 disk.img web1-mon.qcow2
    printf tuesday | dd of=disk.img bs=1 seek=3000000 conv=notrunc status=none
    qemu-img compare -f raw -F qcow2 disk.img web1-tue.qcow2
    [ "$(stat -c %s web1-tue.qcow2)" -lt 500000 ]
}
