# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "thousands of random requests with compress on, compared with a model" {
    text_file base.raw 8M
    for options in "compress=zstd cluster-size=64K" "compress=zlib cluster-size=4K compress-level=1" \
        "compress=zstd backing=base.raw backing-format=raw"; do
        rm -f image.qcow2
        # shellcheck disable=SC2086
        start q "$QCOW2" image.qcow2 size=8M $options
        /usr/bin/python3 - "$(uri q)" "$options" <<'PY'
import nbd, random, sys
r = random.Random(11)
small = bytes(97 + b % 16 for b in range(256))
h = [nbd.NBD() for _ in range(3)]
for one in h:
    one.connect_uri(sys.argv[1])
size = h[0].get_size()
model = bytearray(open("base.raw", "rb").read() if "backing" in sys.argv[2] else bytes(size))
for i in range(700):
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
