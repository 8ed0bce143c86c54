# SPDX-License-Identifier: BSD-3-Clause
#
# Reads, writes, zeroes, trims and flushes while the disk is brought over. ROUNDS=500 runs the long test.
load ../../lib
load pull

@test "clients against a model, while the source and the server are killed and come back" {
    timeout 3000 /usr/bin/python3 "$SOURCE/tests/modules/pull/model.py" "${ROUNDS:-8}" ${SEED:+"$SEED"}
}

@test "a disk is brought over; its holes are neither read nor written; then the source is not needed" {
    source_server
    over_file
    whole
    stop src
    python 'assert h.pread(8 * M, 0) == src'
    stop p
    same src.raw dst.raw
    [ "$(metric fetched_bytes_total)" -eq $((6 << 20)) ]
    [ "$(metric zero_bytes_total)" -eq $((2 << 20)) ]
    [ "$(stat -c %b dst.raw)" -le $((6 * 2048 + 64)) ]
    # The same command does not need it either.
    over_file
    until_true 60 said 'nothing is owed; the source is not needed'
    python 'assert h.pread(8 * M, 0) == src'
}

@test "what the disk below holds does not matter; zeroes of the source are written over it" {
    source_server
    /usr/bin/python3 -c 'open("dst.raw", "wb").write(b"old!" * (2 << 20))'
    pull file dst.raw
    whole
    stop p
    same src.raw dst.raw
}

@test "a read is answered before the background has come to it, and no more is waited for than its piece, which is fetched once" {
    source_server --filter=delay rdelay=20ms
    over_file pull-rate=4K
    python '
assert h.pread(4 * K, 7 * M + 123) == src[7 * M + 123:7 * M + 123 + 4 * K]
assert h.pread(64 * K, 7 * M) == src[7 * M:7 * M + 64 * K]'
    stop p
    [ "$(metric 'fetched_for_bytes_total{reason="client"}')" -eq $((64 << 10)) ]
}

@test "reads that are sent together, over many chunks, in any order" {
    source_server --filter=delay rdelay=5ms
    over_file pull-chunk=64K
    python '
import random
places = [(o, n) for o in range(0, 8 * M, 256 * K) for n in (256 * K, 100)] + [(0, 8 * M)]
random.Random(1).shuffle(places)
buffers = [(o, n, nbd.Buffer(n)) for o, n in places]
for o, n, b in buffers:
    h.aio_pread(b, o)
while h.aio_in_flight():
    h.poll(-1)
for o, n, b in buffers:
    assert b.to_bytearray() == src[o:o + n], (o, n)'
}

@test "the source away: what is here is read, the rest fails with the reason; it comes back" {
    source_server
    over_file pull-rate=4K "${QUICK[@]}"
    python 'h.pread(M, 2 * M)'
    stop src KILL
    python '
assert h.pread(M, 2 * M) == src[2 * M:3 * M]
h.pwrite(b"w" * K, 7 * M + 1)
h.flush()
assert h.pread(K, 7 * M + 1) == b"w" * K
for i in range(3):
    try:
        h.pread(1, 7 * M)
        raise SystemExit("no error")
    except nbd.Error as e:
        assert e.errno == "EIO", e'
    said 'error: pull-from=.*cannot connect'
    until_true 20 said 'warning: pull-from=.*what is here can be used meanwhile'
    source_server
    python '
deadline = time.monotonic() + 60
while True:
    try:
        assert h.pread(2 * K, 7 * M) == src[7 * M:7 * M + 1] + b"w" * K + src[7 * M + K + 1:7 * M + 2 * K]
        break
    except nbd.Error:
        assert time.monotonic() < deadline
        time.sleep(0.02)'
    until_true 20 said 'the source is there again'
}

@test "a server with a state starts while the source is away, and fetches when it is there" {
    source_server
    over_file pull-rate=4K
    python 'h.pread(1, 2 * M); h.pwrite(b"w", 0); h.flush()'
    stop p KILL
    stop src
    over_file "${QUICK[@]}"
    python 'assert h.pread(1, 0) == b"w"'
    source_server
    whole
    python 'assert h.pread(8 * M, 0) == b"w" + src[1:]'
}

@test "zeroes and trims need no source, and read as zeroes" {
    source_server
    over_file pull-rate=4K
    stop src KILL
    python '
h.zero(100 * K, 5)
h.trim(100 * K, M + 7)
h.zero(64 * K, 2 * M, nbd.CMD_FLAG_NO_HOLE)
h.zero(64 * K, 3 * M, nbd.CMD_FLAG_FUA)
for n, o in (100 * K, 5), (100 * K, M + 7), (64 * K, 2 * M), (64 * K, 3 * M):
    assert h.pread(n, o) == bytes(n)'
    source_server
    stop p
    over_file
    whole
    python '
expected = bytearray(src)
for n, o in (100 * K, 5), (100 * K, M + 7), (64 * K, 2 * M), (64 * K, 3 * M):
    expected[o:o + n] = bytes(n)
assert h.pread(8 * M, 0) == expected'
}

@test "a flush, and FUA, are answered when the state owes what they cover no more" {
    source_server
    over_file pull-rate=4K
    python '
def owes(offset):
    return any(o <= offset < o + l for o, l in json.load(open("state"))["owed"])
h.pwrite(b"a" * K, 6 * M)
h.flush()
assert not owes(6 * M) and owes(6 * M + K) and owes(6 * M - 1)
h.pwrite(b"b" * K, 7 * M, nbd.CMD_FLAG_FUA)
assert not owes(7 * M) and owes(7 * M + K)
h.zero(K, 5 * M, nbd.CMD_FLAG_FUA)
assert not owes(5 * M)
other = connect()                        # multi-conn
assert other.can_multi_conn()
h.pwrite(b"c", 3 * M)
other.flush()
assert not owes(3 * M)
os.kill(int(open("p.pid").read()), signal.SIGKILL)'
    stop p
    over_file
    python 'assert [h.pread(1, o) for o in (6 * M, 7 * M, 5 * M, 3 * M)] == [b"a", b"b", b"\0", b"c"]'
}

@test "a layer below whose flush covers one connection: what another wrote is owed until that flushes" {
    source_server
    truncate -s 8M dst.raw
    pull --filter=multi-conn file dst.raw multi-conn-mode=disable pull-rate=4K
    python '
def owes(offset):
    return any(o <= offset < o + l for o, l in json.load(open("state"))["owed"])
other = connect()
assert not other.can_multi_conn()
h.pwrite(b"a", 6 * M)
other.pwrite(b"b", 7 * M)
other.flush()
assert owes(6 * M) and not owes(7 * M)
h.flush()
assert not owes(6 * M)'
}

@test "extents: the source's where nothing is here, the layer's below where it is" {
    source_server
    over_file pull-rate=4K
    python '
deadline = time.monotonic() + 60
while not (extents(h, 4 * K, 4 * M)[0][1] & 2):     # its map is being read
    assert time.monotonic() < deadline
    time.sleep(0.02)
assert extents(h, 6 * M, 2 * M) == [(2 * M, 0), (2 * M, 3), (2 * M, 0)], extents(h, 6 * M, 2 * M)
h.pwrite(b"x" * 64 * K, 5 * M)
h.zero(64 * K, 7 * M)
assert extents(h, 4 * M, 4 * M)[:4] == [(M, 3), (64 * K, 0), (M - 64 * K, 3), (M, 0)], extents(h, 4 * M, 4 * M)
assert extents(h, 64 * K, 7 * M)[0][1] & 2'
}

@test "pull-priority is fetched first, then the rest from the beginning" {
    held_source
    over_file pull-chunk=64K pull-workers=1 pull-priority=7M-7296K
    until_true 60 grep -qx $((7 << 20)) reads
    release
    whole
    [ "$(head -4 reads | tr '\n' ' ')" = "$((7 << 20)) $(((7 << 20) + 65536)) 0 65536 " ]
    [ "$(wc -l < reads)" -eq 128 ]
}

@test "pull-memory bounds what is fetched at a time, and pull-rate what the background fetches" {
    held_source
    over_file pull-chunk=64K pull-memory=256K pull-workers=8
    # Half of it is the background's: of the chunks that are not answered, it has asked for two.
    python 'h.pread(1, 0)'
    until_true 60 eval '[ "$(awk "\$1 >= 1048576" reads | wc -l)" -eq 2 ]'
    python '
buffers = [(o, nbd.Buffer(K)) for o in range(4 * M, 8 * M, 256 * K)]
for o, b in buffers:
    h.aio_pread(b, o)
end = time.monotonic() + 60
while len([l for l in open("reads") if int(l) >= M]) < 4:
    assert time.monotonic() < end
    h.poll(10)
assert len([l for l in open("reads") if int(l) >= M]) == 4
pipe = os.open("hold", os.O_RDWR); os.unlink("hold"); os.close(pipe)
while h.aio_in_flight():
    h.poll(-1)
for o, b in buffers:
    assert b.to_bytearray() == src[o:o + K]'
    whole
    stop p
    rm state reads
    stop src
    source_server
    # A chunk takes 16 seconds of this rate.
    over_file pull-chunk=64K pull-rate=4K
    python 'assert h.pread(K, 7 * M) == src[7 * M:7 * M + K]'
    stop p
    [ "$(metric 'fetched_for_bytes_total{reason="background"}')" -le $((8 << 16)) ]
    [ "$(metric 'fetched_for_bytes_total{reason="client"}')" -eq $((1 << 16)) ]
}

@test "NBD_CMD_CACHE fetches" {
    source_server
    over_file pull-rate=4K
    python 'h.cache(100 * K, 6 * M)'
    stop src KILL
    python 'assert h.pread(100 * K, 6 * M) == src[6 * M:6 * M + 100 * K]'
}

@test "over qcow2, over another server, and with fanout below: all of them hold the disk in the end" {
    source_server
    pull "$QCOW2" file="$PWD/dst.qcow2" size=8M
    python 'h.pwrite(b"w" * 100, 12345); h.flush()'
    whole
    stop p
    sound dst.qcow2
    cp src.raw expected.raw
    printf 'w%.0s' {1..100} | dd of=expected.raw bs=1 seek=12345 conv=notrunc status=none
    qemu-img compare -f raw expected.raw -F qcow2 dst.qcow2
    rm state
    truncate -s 8M far.raw further.raw
    start far file far.raw
    pull nbd "$(uri far)"
    whole
    stop p
    same src.raw far.raw
    rm state
    start further file further.raw
    truncate -s 8M dst.raw
    pull --filter="$FANOUT" file dst.raw fanout-dest="$(uri further)" fanout-name=x
    python 'h.pwrite(b"w" * 100, 12345); h.flush()'
    whole
    stop p
    same expected.raw dst.raw
    same expected.raw further.raw
}

@test "a source that is qemu-nbd, a client that may only read, nbdcopy and qemu-io" {
    start_qemu src --read-only --shared=0 --format=raw src.raw
    truncate -s 8M dst.raw
    pull -r file dst.raw
    timeout 60 nbdcopy "$(uri p)" copy.raw
    same src.raw copy.raw
    qemu-io -r -f raw -c 'read 3M 2M' "$(uri p)"
    refuses 'read-only' timeout 60 /usr/bin/python3 -c '
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1]); h.set_strict_mode(0)
sys.exit("read-only" if h.is_read_only() else 0)' "$(uri p)"
    whole
    stop p
    same src.raw dst.raw
    grep -q '"pull":"unchanged"' state
}

@test "no room at the destination: a warning, and it is tried again; reads of what is here go on" {
    source_server
    truncate -s 8M dst.raw
    touch full
    pull --filter=error file dst.raw error-pwrite=ENOSPC error-pwrite-rate=100% error-pwrite-file="$PWD/full" "${QUICK[@]}"
    until_true 60 said 'warning: pull: .* could not be fetched'
    python '
try:
    h.pread(1, 0)
    raise SystemExit("no error")
except nbd.Error as e:
    assert e.errno == "ENOSPC", e'
    rm full
    whole
    stop p
    same src.raw dst.raw
}
