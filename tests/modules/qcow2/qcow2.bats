# SPDX-License-Identifier: BSD-3-Clause
load qcow2

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

@test "extents say data, hole and zero, through the backing file" {
    truncate -s 8M base.raw
    random_file part 1M
    dd if=part of=base.raw bs=1M seek=1 conv=notrunc status=none
    start q "$QCOW2" over.qcow2 backing=base.raw backing-format=raw size=10M
    shell q -c 'h.pwrite(b"a" * 65536, 4*1048576)' -c 'h.zero(524288, 1048576)'
    timeout 60 nbdinfo --map "$(uri q)" | awk '{print $1, $2, $3}' > map
    cat map
    diff map - <<'MAP'
0 1572864 3
1572864 524288 0
2097152 2097152 3
4194304 65536 0
4259840 6225920 3
MAP
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
    refuses "cannot be used with backing=" timeout 60 nbdkit -U - "$QCOW2" new.qcow2 backing=off.qcow2 \
        backing-format=qcow2 preallocate=falloc --run true
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

@test "wrong parameters are refused, and the message says what is allowed" {
    try() { timeout 60 nbdkit -U - "$QCOW2" image.qcow2 "$@" --run true; }
    refuses "cluster-size=1000" try size=1M cluster-size=1000
    refuses "between 512 and 2M" try size=1M cluster-size=4M
    refuses "cluster-size=3000: must be a power of two" try size=1M cluster-size=3000
    refuses "multiple of 512" try size=1000
    refuses "larger cluster-size=" try size=1T cluster-size=512
    refuses "backing-format=raw or backing-format=qcow2 is required" try backing=base
    refuses "cannot be used without backing=" try size=1M backing-format=raw
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
