# SPDX-License-Identifier: BSD-3-Clause
load qcow2

# Like the teardown of all tests; one of them mounts something.
eval "$(declare -f teardown | sed 's/^teardown/stop_servers/')"
teardown() {
    stop_servers
    if mountpoint -q "$BATS_TEST_TMPDIR/small"; then umount -l "$BATS_TEST_TMPDIR/small"; fi
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

@test "what was flushed survives kill -9 of the server" {
    for cluster in 512 64K; do
        start "q$cluster" "$QCOW2" "$cluster.qcow2" size=64M cluster-size=$cluster
        /usr/bin/python3 - "$(uri "q$cluster")" "$(cat "q$cluster.pid")" <<'PY'
import nbd, os, random, signal, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
r = random.Random(5)
model = bytearray(8 << 20)
for i in range(100):
    at, n = r.randrange(len(model) - 200000), r.randrange(1, 200000)
    data = bytes(n) if i % 5 == 0 else r.randbytes(n)
    model[at:at + n] = data
    fua = i >= 90
    if i % 7 == 0:
        h.zero(n, at, nbd.CMD_FLAG_FUA if fua else 0)
        model[at:at + n] = bytes(n)
    else:
        h.pwrite(data, at, nbd.CMD_FLAG_FUA if fua else 0)
    if i == 89:
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
        cmp -n $((8 << 20)) model back
        cmp -n $((8 << 20)) model back2
    done
}

@test "kill -9 right after a flush, or a write, zero or trim with FUA: it is in the image" {
    for last in flush write zero trim; do
        start "q$last" "$QCOW2" "$last.qcow2" size=4M
        /usr/bin/python3 - "$(uri "q$last")" "$(cat "q$last.pid")" $last <<'PY'
import nbd, os, signal, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(b"a" * (1 << 20), 0)
h.flush()
fua = nbd.CMD_FLAG_FUA
last = sys.argv[3]
if last == "flush":
    h.pwrite(b"b" * 100000, 2 << 20)
    h.flush()
elif last == "write":
    h.pwrite(b"b" * 100000, 2 << 20, fua)
elif last == "zero":
    h.zero(100000, 0, fua)
else:
    h.trim(131072, 0, fua)
os.kill(int(sys.argv[2]), signal.SIGKILL)
PY
        until_true 10 gone "$(cat "q$last.pid")"
        start "r$last" "$QCOW2" "$last.qcow2" create=never
        case $last in
            flush | write) shell "r$last" -c 'assert h.pread(100000, 2 << 20) == b"b" * 100000' ;;
            zero) shell "r$last" -c 'assert h.pread(100001, 0) == bytes(100000) + b"a"' ;;
            trim) shell "r$last" -c 'assert h.pread(131073, 0) == bytes(131072) + b"a"' ;;
        esac
        stop "r$last"
        sound "$last.qcow2"
    done
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
