# SPDX-License-Identifier: BSD-3-Clause
#
# Writes, and what is read after them.
load ../../lib
load slow_disk

@test "FUA of writes, zeroes and trims reaches the layer below, and so does a flush" {
    start server --filter="$COALESCE" --filter=log memory 16M logfile="$PWD/requests"
    /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, re, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
def requests():
    return re.findall(r"connection=\d+ (\w+) id=\d+ (.*)\.\.\.$", open("requests").read(), re.M)
def asked(f, *arguments, **flags):
    before = len(requests())
    f(*arguments, **flags)
    return [(name, "fua=1" in text) for name, text in requests()[before:]]
for fua in True, False:
    flags = {"flags": nbd.CMD_FLAG_FUA} if fua else {}
    assert asked(h.pwrite, b"x" * 512, 0, **flags) == [("Write", fua)]
    assert asked(h.zero, 512, 0, **flags) == [("Zero", fua)]
    assert asked(h.trim, 512, 0, **flags) == [("Trim", fua)]
assert asked(h.flush) == [("Flush", False)]
PY
}

@test "a write by one export name is seen by another one: the memory plugin has one disk" {
    start server --filter="$COALESCE" memory 4M
    /usr/bin/python3 - "$(uri server)" "$(uri server x)" <<'PY'
import nbd, sys
K, M = 1 << 10, 1 << 20
def connect(uri):
    h = nbd.NBD()
    h.add_meta_context("base:allocation")
    h.connect_uri(uri)
    return h
def extents(h):
    found = []
    h.block_status(4 * M, 0, lambda c, o, e, err: found.extend(e))
    return found
writer, reader = (connect(uri) for uri in sys.argv[1:])
assert extents(reader) == [4 * M, 3]
assert reader.pread(64 * K, M) == bytes(64 * K)
writer.pwrite(b"n" * 64 * K, M)
assert extents(reader)[:4] == [M, 3, 64 * K, 0], extents(reader)
assert reader.pread(64 * K, M) == b"n" * 64 * K
PY
}

@test "what was read ahead while a write was under way is not what is read after it" {
    truncate -s 4M disk
    start server --filter="$COALESCE" --filter=log eval logfile="$PWD/requests" coalesce-chunk=1M \
        get_size="echo 4M" thread_model="echo parallel" can_write="exit 0" \
        pread="dd if=$PWD/disk skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none" \
        pwrite="touch $PWD/writing; $(held_from 0)
            dd of=$PWD/disk seek=\$4 conv=notrunc oflag=seek_bytes status=none"
    hold
    /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, os, re, sys, time
reader, writer = nbd.NBD(), nbd.NBD()
for h in reader, writer: h.connect_uri(sys.argv[1])
K, M = 1 << 10, 1 << 20
disk = open("disk", "rb").read()
deadline = time.monotonic() + 60
def until(happens):
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)
cookie = writer.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"n" * 64 * K)), M)
until(lambda: os.path.exists("writing"))
for at in range(0, M, 64 * K):
    assert reader.pread(64 * K, at) == disk[at:at + 64 * K]
def read_ahead():
    log = open("requests").read()
    begun = re.search(r"connection=(\d+) Read id=(\d+) offset=0x100000 ", log)
    return begun and re.search(rf"connection={begun[1]} \.\.\.Read id={begun[2]} ", log)
until(read_ahead)
pipe = os.open("hold", os.O_RDWR); os.unlink("hold"); os.close(pipe)
until(lambda: writer.poll(100) >= 0 and writer.aio_command_completed(cookie))
assert reader.pread(64 * K, M) == b"n" * 64 * K
assert reader.pread(64 * K, M + 64 * K) == disk[M + 64 * K:M + 128 * K]
PY
}

@test "zeroes and trims are seen by what is read after them" {
    for change in zero trim; do
        start server --filter="$COALESCE" --filter=log --filter=delay memory 4M rdelay=2ms coalesce-chunk=1M \
            logfile="$PWD/requests"
        /usr/bin/python3 - "$(uri server)" $change <<'PY'
import nbd, re, sys, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
K, M = 1 << 10, 1 << 20
for at in range(0, 4 * M, M): h.pwrite(b"x" * M, at)
for at in range(0, M, 64 * K):
    assert h.pread(64 * K, at) == b"x" * 64 * K
# The next chunk has been read ahead.
deadline = time.monotonic() + 60
while not re.search(r"(?s)Read id=(\d+) offset=0x100000 .*\.\.\.Read id=\1 ", open("requests").read()):
    assert time.monotonic() < deadline
    time.sleep(0.01)
getattr(h, sys.argv[2])(64 * K, M)
assert h.pread(64 * K, M) == bytes(64 * K)
assert h.pread(64 * K, M + 64 * K) == b"x" * 64 * K
PY
        stop server
    done
}

# What each connection reads after a write has been answered, by whichever, is what was written.
@test "random reads and writes by two connections agree with a model" {
    start server --filter="$COALESCE" --filter=delay memory 32M rdelay=1ms coalesce-chunk=256K coalesce-memory=2M
    /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, random, sys
handles = [nbd.NBD(), nbd.NBD()]
for h in handles: h.connect_uri(sys.argv[1])
size = handles[0].get_size()
model = bytearray(size)
r = random.Random(3)
for i in range(500):
    h = r.choice(handles)
    at = r.randrange(size - 300000) & ~511
    kind = r.random()
    n = r.choice([512, 4096, 65536, 300000])
    if kind < 0.25:
        data = r.randbytes(n)
        h.pwrite(data, at); model[at:at+n] = data
    elif kind < 0.3:
        h.zero(n, at); model[at:at+n] = bytes(n)
    elif kind < 0.33:
        h.trim(n, at); model[at:at+n] = bytes(n)
    elif kind < 0.5:
        # A run in order, with a write just ahead of it.
        for k in range(12):
            start = at + k * 4096
            if start + 8192 > size: break
            assert h.pread(4096, start) == model[start:start+4096], (i, start)
            if k == 6:
                data = r.randbytes(4096)
                r.choice(handles).pwrite(data, start + 4096)
                model[start+4096:start+8192] = data
    else:
        assert h.pread(n, at) == model[at:at+n], (i, at, n)
PY
}
