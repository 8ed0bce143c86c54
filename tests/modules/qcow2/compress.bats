# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "a disk is copied compressed, and qemu-img finds it sound, equal and of the type" {
    text_file disk 24577K
    for options in "zstd 64K" "zlib 64K" "zlib 512" "zstd 4K 9" "zlib 4K 12" "zstd 2M 1"; do
        read -r type cluster level <<< "$options"
        start q "$QCOW2" image.qcow2 create=always size=24577K cluster-size="$cluster" \
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
        timeout 20 nbdkit -U - "$QCOW2" image.qcow2 compress=zlib --run true
    for i in 1 2 3; do
        start "q$i" "$QCOW2" image.qcow2 compress=zstd
        shell "q$i" -c "h.pwrite(open('other', 'rb').read(), $i * 4000001)"
        stop "q$i"
        dd if=other of=disk bs=1 seek=$((i * 4000001)) conv=notrunc status=none oflag=seek_bytes bs=1M
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

@test "thousands of random requests with compress on, compared with a model" {
    text_file base.raw 24M
    for options in "compress=zstd cluster-size=64K" "compress=zlib cluster-size=4K compress-level=1" \
        "compress=zstd backing=base.raw backing-format=raw"; do
        rm -f image.qcow2
        # shellcheck disable=SC2086
        start q "$QCOW2" image.qcow2 size=24M $options
        /usr/bin/python3 - "$(uri q)" "$options" <<'PY'
import nbd, random, sys
r = random.Random(11)
small = bytes(97 + b % 16 for b in range(256))
h = [nbd.NBD() for _ in range(3)]
for one in h:
    one.connect_uri(sys.argv[1])
size = h[0].get_size()
model = bytearray(open("base.raw", "rb").read() if "backing" in sys.argv[2] else bytes(size))
for i in range(2000):
    one = r.choice(h)
    n = r.choice([1, 100, 512, 4096, 4096, 65536, 65536, 150000])
    at = r.randrange(size - n)
    if r.random() < 0.6:
        at -= at % 4096
    what = r.randrange(20)
    if what == 0:
        one.zero(n, at)
        model[at:at + n] = bytes(n)
    elif what < 3:
        assert one.pread(n, at) == model[at:at + n], (i, at, n)
    elif what == 3:
        one.flush()
    elif what == 4:
        one.trim(65536, at - at % 65536)
        model[at - at % 65536:at - at % 65536 + 65536] = bytes(65536)
    else:
        data = r.randbytes(n) if what == 5 else r.randbytes(n).translate(small)
        one.pwrite(data, at, nbd.CMD_FLAG_FUA if what == 6 else 0)
        model[at:at + n] = data
open("model", "wb").write(model)
PY
        copy "$(uri q)" back
        same model back
        stop q
        sound image.qcow2
        qemu-img compare -f raw -F qcow2 model image.qcow2
    done
}

@test "partial clusters that were not flushed are in the image when the client has disconnected" {
    start q "$QCOW2" image.qcow2 size=8M compress=zlib
    shell q -c 'h.pwrite(b"a" * 1000, 100000)' -c 'h.pwrite(b"b" * 1000, 5000000)' \
        -c 'assert h.pread(1002, 99999) == b"\0" + b"a" * 1000 + b"\0"'
    stop q
    sound image.qcow2
    qemu-io -c 'read -P 0x61 100000 1000' -c 'read -P 0x62 5000000 1000' -c 'read -P 0 101000 100000' \
        image.qcow2 > read.log
    cat read.log
    [ "$(grep -c '^read' read.log)" = 3 ]
    must_fail grep -q failed read.log
}

@test "a huge scattered disk that is compressed takes little memory" {
    start q "$QCOW2" image.qcow2 size=62T l2-cache=1M compress=zstd
    /usr/bin/python3 - "$(uri q)" "$(cat q.pid)" <<'PY'
import nbd, random, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
r = random.Random(3)
places = {r.randrange(h.get_size() // 65536) * 65536: i for i in range(6000)}
for at, i in places.items():
    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"%-512d" % i * 128)), at, completion=lambda e: 1)
    while h.aio_in_flight() >= 16:
        h.poll(-1)
while h.aio_in_flight() > 0:
    h.poll(-1)
h.flush()
assert all(h.pread(512, at + 1024) == b"%-512d" % i for at, i in places.items())
peak = [line for line in open(f"/proc/{sys.argv[2]}/status") if line.startswith("VmHWM")]
print(peak)
assert int(peak[0].split()[1]) < 80000
PY
    stop q
    sound image.qcow2
    qemu-img check image.qcow2 | grep "100.00% compressed clusters"
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
    try() { timeout 20 nbdkit -U - "$QCOW2" image.qcow2 size=1M "$@" --run true; }
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
