# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "what was flushed survives kill -9 of the server, also partial clusters" {
    for type in zlib zstd; do
        start "q$type" "$QCOW2" "$type.qcow2" size=64M compress=$type
        /usr/bin/python3 - "$(uri "q$type")" "$(cat "q$type.pid")" <<'PY'
import nbd, os, random, signal, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
r = random.Random(5)
small = bytes(97 + b % 16 for b in range(256))
model = bytearray(8 << 20)
for i in range(100):
    at, n = r.randrange(len(model) - 200000), r.randrange(1, 200000)
    data = r.randbytes(n).translate(small)
    model[at:at + n] = data
    h.pwrite(data, at, nbd.CMD_FLAG_FUA if i >= 90 else 0)
    if i == 89:
        h.flush()
open("model", "wb").write(model)
# What is not flushed goes elsewhere, many requests in flight when the server dies.
for i in range(60):
    data = bytearray(r.randbytes(500000).translate(small))
    h.aio_pwrite(nbd.Buffer.from_bytearray(data), (32 << 20) + i * 500000)
while h.aio_in_flight() > 30:
    h.poll(-1)
os.kill(int(sys.argv[2]), signal.SIGKILL)
PY
        until_true 10 gone "$(cat "q$type.pid")"
        truncate -s 64M model
        cp "$type.qcow2" repaired.qcow2
        qemu-img check -r all repaired.qcow2 > /dev/null 2>&1
        sound repaired.qcow2
        # Both repaired by qemu-img and by ourselves.
        start "r$type" "$QCOW2" "$type.qcow2" create=never compress=$type
        grep -q "not closed cleanly: rebuilding" "r$type.log"
        copy "$(uri "r$type")" back
        stop "r$type"
        sound "$type.qcow2"
        qemu-img convert -O raw repaired.qcow2 back2
        cmp -n $((8 << 20)) model back
        cmp -n $((8 << 20)) model back2
    done
}

@test "a full file system is an error for the client, and the compressed image stays sound" {
    text_file disk 16M
    # A limit of the file's length stands for the disk: 4 MiB.
    nbdkit() { trap '' XFSZ; ulimit -f 4096; exec env nbdkit "$@"; }
    start q "$QCOW2" image.qcow2 size=64M compress=zstd
    refuses "No space left" shell q -c 'd = open("disk", "rb").read()' \
        -c 'for i in range(0, len(d), 65536): h.pwrite(d[i:i + 65536], i)'
    shell q -c 'h.flush()'
    stop q
    sound image.qcow2
    # Room again: the same work is finished.
    unset -f nbdkit
    start q2 "$QCOW2" image.qcow2 compress=zstd
    copy --flush disk "$(uri q2)"
    stop q2
    sound image.qcow2
    truncate -s 64M disk
    qemu-img compare -f raw -F qcow2 disk image.qcow2
}
