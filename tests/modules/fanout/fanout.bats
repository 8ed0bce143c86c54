# SPDX-License-Identifier: BSD-3-Clause
load ../../lib

# fan NAME ARGUMENTS...: nbdkit with the filter.
fan() { local name=$1; shift; start "$name" --filter="$FANOUT" "$@"; }

# fails_to_start TEXT ARGUMENTS...: the filter refuses, saying TEXT, in one line.
fails_to_start() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -fU - --filter="$FANOUT" memory 1M "$@" || return 1
    [ "${#lines[@]}" -eq 1 ]
}

# python CODE ARGUMENTS...: with nbd and sys imported.
python() { local code=$1; shift; timeout 120 /usr/bin/python3 -c "import nbd, sys
$code" "$@"; }

# One write of 64K at offset 0, its error on the output.
write_once() {
    python 'h = nbd.NBD(); h.connect_uri(sys.argv[1]); h.pwrite(b"x" * 65536, 0)' "$1"
}

@test "whatever a client does, all destinations are the primary, byte by byte" {
    random_file base.raw 32M
    for copy in primary file; do cp base.raw "$copy.raw"; done
    qemu-img convert -f raw -O qcow2 base.raw image.qcow2
    start file file file.raw
    start memory memory 33M
    start_qemu qemu --shared=0 -f qcow2 image.qcow2 --discard=unmap
    timeout 60 nbdcopy base.raw "$(uri memory)"
    fan f file primary.raw fanout-concurrency=3 \
        fanout-dest="$(uri file)" fanout-name=file fanout-concurrency=8 \
        fanout-dest="$(uri memory)" fanout-name=memory fanout-dest="$(uri qemu)"

    # The client keeps its own idea of what the disk is.
    python '
import random
r = random.Random(int(sys.argv[2]))
h = nbd.NBD(); h.connect_uri(sys.argv[1])
assert h.can_zero() and h.can_trim() and h.can_fua() and h.can_flush()
assert not h.can_fast_zero()
size = h.get_size()
model = bytearray(open("base.raw", "rb").read())
pending = []
def settle():
    while pending:
        h.poll(-1)
        pending[:] = [c for c in pending if not h.aio_command_completed(c)]
for i in range(600):
    n = r.choice([1, 511, 4096, 65536, 1 << 20, r.randrange(1, 3 << 20)])
    o = r.randrange(0, size - n + 1)
    fua = nbd.CMD_FLAG_FUA if r.random() < 0.1 else 0
    what = r.random()
    if what < 0.55:
        data = r.randbytes(n)
        h.pwrite(data, o, fua)
        model[o:o+n] = data
    elif what < 0.8:
        h.zero(n, o, fua | (nbd.CMD_FLAG_NO_HOLE if r.random() < 0.5 else 0))
        model[o:o+n] = bytes(n)
    elif what < 0.95:
        h.trim(n, o, fua)
        model[o:o+n] = bytes(n)
    else:
        h.flush()
# The same in parallel, each request in a place of its own.
buffers = []
for i in range(64):
    buffers.append(nbd.Buffer.from_bytearray(bytearray(r.randbytes(65536))))
    pending.append(h.aio_pwrite(buffers[i], i * 65536))
    model[i*65536:(i+1)*65536] = buffers[i].to_bytearray()
settle()
h.flush()
h.shutdown()
open("model.raw", "wb").write(model)
' "$(uri f)" "$RANDOM"
    stop f
    grep -E 'file: [0-9]+ bytes written and [0-9]+ zeroed in [0-9]+ requests' f.log
    for server in file memory qemu; do timeout 60 nbdcopy "$(uri $server)" $server.out; done
    same model.raw primary.raw
    same model.raw file.out
    same model.raw qemu.out
    cmp -n 33554432 model.raw memory.out
    # What lies beyond the primary is left alone.
    cmp -i 33554432:0 -n 1048576 memory.out /dev/zero
}

@test "stock clients: nbdcopy on several connections, qemu-img, fio with verify" {
    random_file base.raw 24M
    start a memory 24M
    truncate -s 24M b.raw
    start_qemu b --shared=8 -f raw b.raw
    fan f memory 24M fanout-dest="$(uri a)" fanout-dest="$(uri b)"
    timeout 60 nbdcopy -C 4 -T 4 --flush base.raw "$(uri f)"
    for server in f a b; do timeout 60 nbdcopy "$(uri $server)" $server.out; same base.raw $server.out; done

    truncate -s 24M other.raw
    cp --sparse=never base.raw part.raw
    dd if=part.raw of=other.raw bs=1M count=7 seek=9 conv=notrunc status=none
    timeout 60 qemu-img convert -n -f raw -O raw other.raw "$(uri f | sed 's,nbd+unix:///?socket=,nbd:unix:,')"
    for server in f a b; do timeout 60 nbdcopy "$(uri $server)" $server.out; same other.raw $server.out; done

    timeout 100 fio --name=v --ioengine=nbd --uri="$(uri f)" --rw=randwrite --bs=16k --size=24M \
        --iodepth=16 --verify=crc32c --verify_fatal=1 > fio.log || { cat fio.log; false; }
    for server in f a b; do timeout 60 nbdcopy "$(uri $server)" $server.out; done
    same f.out a.out
    same f.out b.out
}

@test "the manual's example: a file and two destinations, counters in a file" {
    random_file base.raw 8M
    truncate -s 8M primary.raw
    start dr memory 8M
    start cloud memory 8M
    fan f file primary.raw fanout-dest="$(uri dr)" fanout-name=dr fanout-concurrency=8 \
        fanout-dest="$(uri cloud)" fanout-name=cloud fanout-concurrency=2 fanout-stats=stats.prom
    grep -q '^nbdkit_fanout_bytes_total{destination="dr"} 0$' stats.prom
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    stop f
    same base.raw primary.raw
    for name in dr cloud; do
        timeout 60 nbdcopy "$(uri $name)" $name.out
        same base.raw $name.out
        grep -q "^nbdkit_fanout_bytes_total{destination=\"$name\"} 8388608\$" stats.prom
        grep -q "^nbdkit_fanout_in_flight{destination=\"$name\"} 0\$" stats.prom
    done
    grep -E 'dr: 8388608 bytes written and 0 zeroed in [0-9]+ requests, [0-9.]+ s, [0-9.]+ MiB/s' f.log
}

@test "the counters of a server run with --run are those of the server" {
    start a memory 1M
    timeout 60 nbdkit -U - --filter="$FANOUT" memory 1M fanout-dest="$(uri a)" fanout-name=a \
        fanout-stats=stats.prom --run 'qemu-io -f raw -c "write 0 64k" "$uri"'
    grep -q '^nbdkit_fanout_bytes_total{destination="a"} 65536$' stats.prom
}

@test "a daemon finds a destination given with a relative path" {
    start a memory 1M
    nbdkit -U "$PWD/d.sock" -P d.pid --filter="$FANOUT" memory 1M \
        fanout-dest='nbd+unix:///?socket=a.sock'
    until_true 10 [ -s d.pid ]
    timeout 20 qemu-io -f raw -c 'write -P 7 0 64k' "$(uri d | sed 's,nbd+unix:///?socket=,nbd:unix:,')"
    timeout 20 nbdcopy "$(uri a)" a.out
    [ "$(od -An -tu1 -N1 a.out | tr -d ' ')" = 7 ]
}

@test "fanout-concurrency is kept to, for each destination" {
    # Each write takes 100 ms: 32 of them at 4 a time no less than 800 ms, at 32 a time a good deal less.
    start slow -t 64 --filter=delay memory 8M delay-write=100ms
    start fast -t 64 --filter=log --filter=delay memory 8M delay-write=10ms logfile="$PWD/fast.requests"
    fan f -t 64 memory 8M fanout-connections=1 fanout-dest="$(uri slow)" fanout-concurrency=4 \
        fanout-dest="$(uri fast)" fanout-concurrency=1
    python '
import time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
b = nbd.Buffer.from_bytearray(bytearray(b"y" * 4096))
begin = time.monotonic()
for i in range(32): h.aio_pwrite(b, i * 4096)
while h.aio_in_flight() > 0: h.poll(-1)
took = time.monotonic() - begin
print(took)
assert 0.8 <= took < 2.4
' "$(uri f)"
    stop f
    stop fast
    # The log has a line when a request begins, and one when it ends: at most one is open at a time.
    [ "$(grep -c ' Write id=' fast.requests)" -eq 32 ]
    awk '/ Write id=/ { if (++open > 1) exit 1 } /\.\.\.Write id=/ { --open }' fast.requests
}

@test "a flush reaches the primary and every destination, and FUA too" {
    start a --filter=log memory 1M logfile="$PWD/a.requests"
    # One whose FUA the filter has to do with a flush.
    start b --filter=log --filter=fua memory 1M logfile="$PWD/b.requests"
    fan f --filter=log memory 1M logfile="$PWD/f.requests" \
        fanout-dest="$(uri a)" fanout-dest="$(uri b)"
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.flush()
h.flush()
h.pwrite(b"z" * 512, 0, nbd.CMD_FLAG_FUA)
' "$(uri f)"
    for server in f a b; do stop $server; done
    [ "$(grep -c ' Flush id=' a.requests)" -eq 2 ]
    grep ' Write id=' a.requests | grep -q 'fua=1'
    [ "$(grep -c ' Flush id=' b.requests)" -eq 3 ]
    [ "$(grep -c ' Flush id=' f.requests)" -ge 2 ]
}

@test "a destination killed midway: an error that names it, and no hang" {
    random_file base.raw 64M
    start a memory 64M
    start victim --filter=rate memory 64M rate=40M
    # One thread a connection: with more, nbdkit 1.32 itself may abort when a client goes, as this one does
    # when it is told of the error, while another thread is about to answer it.
    fan f -t 1 memory 64M fanout-dest="$(uri a)" fanout-dest="$(uri victim)" fanout-name=victim \
        fanout-retries=0 fanout-stats="$PWD/stats.prom"
    timeout 60 nbdcopy --flush base.raw "$(uri f)" > copy.log 2>&1 3>&- &
    copy=$!
    until_true 20 grep -q 'pwrite count' f.log
    stop victim KILL
    status=0
    wait $copy || status=$? # not with run: in its subshell there is nobody to be waited for
    [ "$status" -ne 0 ]
    [ "$status" -lt 124 ]
    grep -q 'error: victim: cannot .*: the connection was lost: this destination is no longer' f.log
    # The server lives, and the next client is told at once.
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q 'error: victim: cannot connect' f.log
}

@test "one that dies while nothing is asked of it is noticed at the next flush" {
    start a memory 1M
    fan f memory 1M fanout-dest="$(uri a)" fanout-name=victim fanout-retries=0
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"z" * 512, 0)
os.kill(int(open("a.pid").read()), signal.SIGKILL)
try:
    h.flush()
    sys.exit("the flush was acknowledged")
except nbd.Error as e:
    assert e.errno == "EIO", e
try:
    h.pwrite(b"z" * 512, 0)
    sys.exit("the write was acknowledged")
except nbd.Error as e:
    assert e.errno == "EIO", e
assert h.pread(512, 0) == b"z" * 512
' "$(uri f)"
    # Unless it was noticed even before.
    grep -q 'error: victim: cannot .*: the connection was lost: this destination' f.log
}

@test "a destination that is lost is an I/O error to the client, however it went" {
    start killed memory 1M
    start silent memory 1M
    # The client would take it for the end of the server that it is connected to.
    start leaving --filter=error memory 1M error-pwrite=ESHUTDOWN error-pwrite-rate=100%
    for lost in killed silent leaving; do
        fan f memory 1M fanout-dest="$(uri $lost)" fanout-name=$lost fanout-retries=0 fanout-timeout=1
        python '
import os, signal
lost = sys.argv[2]
pid = int(open(lost + ".pid").read())
h = nbd.NBD(); h.connect_uri(sys.argv[1])
if lost == "killed": os.kill(pid, signal.SIGKILL)
if lost == "silent": os.kill(pid, signal.SIGSTOP)
try:
    while True: h.pwrite(b"z" * 512, 0)
except nbd.Error as e:
    print(lost, e.errno)
finally:
    if lost == "silent": os.kill(pid, signal.SIGCONT)
' "$(uri f)" $lost >> errors
        grep "error: $lost: .*: this destination is no longer a copy" f.log
        stop f
    done
    diff <(printf '%s EIO\n' killed silent leaving) errors
}

@test "a destination that is full: its errno, its name" {
    start full --filter=error memory 1M error-pwrite=ENOSPC error-pwrite-rate=100%
    fan f memory 1M fanout-dest="$(uri full)" fanout-name=full
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    [[ "$output" == *"No space left"* ]]
    grep -q 'error: full: cannot write 65536 bytes at offset 0: No space left on device' f.log
}

@test "a destination that does not permit it is not asked again" {
    start no --filter=error memory 1M error-pwrite=EPERM error-pwrite-rate=100%
    fan f memory 1M fanout-dest="$(uri no)" fanout-name=no
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    [[ "$output" == *"not permitted"* ]]
    grep -q 'error: no: cannot write 65536 bytes at offset 0: Operation not permitted' f.log
    must_fail grep -q 'trying again' f.log
}

@test "a destination that stops answering ends the request at fanout-timeout" {
    start a memory 1M
    fan f memory 1M fanout-dest="$(uri a)" fanout-name=a fanout-timeout=1 fanout-retries=0
    run python '
import os, signal, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
os.kill(int(open("a.pid").read()), signal.SIGSTOP)
begin = time.monotonic()
try:
    h.pwrite(b"z" * 512, 0)
finally:
    took = time.monotonic() - begin
    os.kill(int(open("a.pid").read()), signal.SIGCONT)
    assert 0.9 < took < 10, took
' "$(uri f)"
    [ "$status" -ne 0 ]
    [[ "$output" != *AssertionError* ]]
    grep -q 'error: a: cannot write 512 bytes at offset 0: no answer within 1 s (fanout-timeout)' f.log
}

@test "a black hole is given up at the connect timeout" {
    /usr/bin/python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX)
s.bind(os.path.abspath("hole.sock"))
s.listen(8)
keep = []
while True: keep.append(s.accept())
' 3>&- &
    echo $! > hole.pid
    until_true 10 listens hole
    SECONDS=0
    fails_to_start 'hole: connected, but the server sent no greeting within 0.5 s' \
        fanout-dest="$(uri hole)" fanout-name=hole fanout-connect-timeout=0.5
    [ "$SECONDS" -lt 10 ]
}

@test "a qemu-nbd without a free client slot: an error that names the cause, not a hang" {
    truncate -s 1M q.raw
    start_qemu q -f raw q.raw   # --shared=1 is its default
    mkfifo hold
    /usr/bin/python3 -c '
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1]); open("held", "w").close(); open("hold").read()
' "$(uri q)" 3>&- &
    until_true 20 [ -e held ]
    SECONDS=0
    fails_to_start 'no free client slot (qemu-nbd serves one client at a time unless started with --shared=N' \
        fanout-dest="$(uri q)" fanout-connect-timeout=1
    [ "$SECONDS" -lt 15 ]
    echo > hold
    # Free again: the filter's own two connections, one after the other, find it so.
    fan f memory 1M fanout-dest="$(uri q)"
    write_once "$(uri f)"
}

@test "a slot taken after the start: the client is refused, and the log says why" {
    truncate -s 1M q.raw
    start_qemu q -f raw q.raw
    fan f memory 1M fanout-dest="$(uri q)" fanout-name=q fanout-connect-timeout=1
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
g = nbd.NBD()
try:
    g.connect_uri(sys.argv[2])
    sys.exit("connected")
except nbd.Error as e:
    print(e)
' "$(uri q)" "$(uri f)"
    grep -q 'error: q: connected, but the server sent no greeting within 1 s: it has no free client slot' f.log
    write_once "$(uri f)"
}

@test "fewer connections than asked for are a warning" {
    truncate -s 1M q.raw
    start_qemu q --shared=2 -f raw q.raw
    fan f memory 1M fanout-dest="$(uri q)" fanout-name=q fanout-connections=4 fanout-connect-timeout=1
    write_once "$(uri f)"
    grep -q 'warning: q: .*no free client slot.*; going on with 2 of 4 connections' f.log
}

@test "what makes no sense is refused at start, in one line" {
    start a memory 1M
    start readonly -r memory 1M
    a=$(uri a)
    fails_to_start 'fanout-dest=URI is missing'
    fails_to_start 'fanout-dest=: must be' fanout-dest=
    fails_to_start 'x: cannot connect:' fanout-dest=http://example.com/ fanout-name=x
    fails_to_start "x: cannot connect:" fanout-dest="nbd+unix:///?socket=$PWD/none" fanout-name=x
    fails_to_start 'x: the export is read-only' fanout-dest="$(uri readonly)" fanout-name=x
    fails_to_start 'fanout-name=x: must follow' fanout-name=x fanout-dest="$a"
    fails_to_start 'two destinations are called x' fanout-dest="$a" fanout-name=x \
        fanout-dest="$a" fanout-name=x
    fails_to_start 'two destinations are called nbd+unix' fanout-dest="$a" fanout-dest="$a"
    fails_to_start 'unknown parameter fanout-mod' fanout-dest="$a" fanout-mod=async
    fails_to_start 'fanout-concurrency=0: must be a number between 1 and 256' \
        fanout-dest="$a" fanout-concurrency=0
    fails_to_start 'fanout-connections=17: must be a number between 1 and 16' \
        fanout-dest="$a" fanout-connections=17
    fails_to_start 'fanout-timeout=0: must be a number of seconds' fanout-dest="$a" fanout-timeout=0
    fails_to_start 'fanout-connect-timeout=soon: must be' fanout-dest="$a" fanout-connect-timeout=soon
    fails_to_start 'fanout-mode=both: must be sync or async' fanout-dest="$a" fanout-mode=both
    fails_to_start 'fanout-on-error=ignore: must be fail or detach' fanout-dest="$a" fanout-on-error=ignore
    fails_to_start 'fanout-rate=1K: must be a size between 4K and 1T' fanout-dest="$a" fanout-rate=1K
    fails_to_start 'fanout-retries=101: must be' fanout-dest="$a" fanout-retries=101
    fails_to_start 'fanout-retry-delay=0: must be a number of seconds' fanout-dest="$a" fanout-retry-delay=0
    fails_to_start 'fanout-retry-max=x: must be a number of seconds' fanout-dest="$a" fanout-retry-max=x
    fails_to_start 'fanout-verify=101: must be a percentage' fanout-dest="$a" fanout-verify=101
    fails_to_start 'fanout-active=0: must be all, serial, or a number between' fanout-dest="$a" fanout-active=0
    fails_to_start 'fanout-active=1001: must be all, serial' fanout-dest="$a" fanout-active=1001
    fails_to_start 'fanout-drain-timeout=-5: must be a number of seconds' fanout-dest="$a" \
        fanout-drain-timeout=-5
    fails_to_start 'fanout-state=/nonexistent: must be a directory' fanout-dest="$a" fanout-state=/nonexistent
    fails_to_start 'cannot open /nonexistent/stats' fanout-dest="$a" fanout-stats=/nonexistent/stats
}

@test "a destination smaller than the primary is refused, with both sizes" {
    start small memory 512K
    fan f memory 1M fanout-dest="$(uri small)" fanout-name=small
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q "error: small: the export has 524288 bytes, less than the primary's 1048576" f.log
}

@test "a read-only primary is refused" {
    start a memory 1M
    fan f -r memory 1M fanout-dest="$(uri a)"
    run timeout 20 nbdinfo "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q 'error: fanout: the primary is read-only' f.log
}

@test "two exports of the primary do not end up in one destination" {
    mkdir disks
    truncate -s 1M disks/one disks/two
    start a memory 1M
    fan f file dir=disks fanout-dest="$(uri a)"
    write_once "$(uri f one)"
    run write_once "$(uri f two)"
    [ "$status" -ne 0 ]
    grep -q 'error: fanout: the destinations were given the export "one", they cannot hold "two"' f.log
    cmp -n 1048576 disks/two /dev/zero
    write_once "$(uri f one)"
}

@test "nbds without what TLS needs is an error, never a downgrade" {
    start a memory 1M
    fails_to_start 'x: cannot connect:' fanout-dest="nbds+unix:///?socket=$PWD/a.sock" fanout-name=x
    mkdir empty
    fails_to_start 'x: cannot connect:' \
        fanout-dest="nbds+unix:///?socket=$PWD/a.sock&tls-certificates=$PWD/empty" fanout-name=x
}

@test "nbds with a key: the copy is made, the key's file is no part of the name" {
    echo "alice:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" > keys.psk
    echo "alice:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" > wrong.psk
    start a --tls=require --tls-psk="$PWD/keys.psk" memory 1M
    tls="nbds+unix://alice@/?socket=$PWD/a.sock&tls-psk-file"
    fails_to_start "nbds+unix:///?socket=$PWD/a.sock: cannot connect:" fanout-dest="$tls=wrong.psk"
    fails_to_start "nbd+unix:///?socket=$PWD/a.sock: cannot connect:" fanout-dest="$(uri a)"
    fan f memory 1M fanout-dest="$tls=keys.psk"
    write_once "$(uri f)"
    timeout 20 nbdcopy "$tls=$PWD/keys.psk" a.out
    [ "$(head -c 65536 a.out | tr -d x | wc -c)" -eq 0 ]
    grep "nbds+unix:///?socket=$PWD/a.sock: 65536 bytes written" f.log
}

@test "on SIGTERM with a client connected the counters are written and told" {
    start a memory 1M
    fan f memory 1M fanout-dest="$(uri a)" fanout-name=a fanout-stats=stats.prom
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"z" * 512, 0)
os.kill(int(open("f.pid").read()), signal.SIGTERM)
' "$(uri f)"
    until_true 20 gone "$(cat f.pid)"
    grep -q '^nbdkit_fanout_bytes_total{destination="a"} 512$' stats.prom
    grep -q 'a: 512 bytes written' f.log
}

@test "a destination's minimum block is passed on, and kept to" {
    start a --filter=blocksize-policy memory 1M blocksize-minimum=4096 blocksize-error-policy=error
    fan f memory 1M fanout-dest="$(uri a)" fanout-name=a
    python '
h = nbd.NBD(); h.set_strict_mode(0); h.connect_uri(sys.argv[1])
assert h.get_block_size(nbd.SIZE_MINIMUM) == 4096
h.pwrite(b"b" * 8192, 4096)
try:
    h.pwrite(b"b" * 512, 0)
    sys.exit("written")
except nbd.Error as e:
    assert e.errno == "EINVAL", e
h.flush()
' "$(uri f)"
    grep -q 'error: a: the server takes only blocks of 4096 bytes' f.log
}

@test "a destination that cannot zero is sent zeroes" {
    random_file base.raw 8M
    start a --filter=nozero memory 8M
    fan f memory 8M fanout-dest="$(uri a)"
    timeout 60 nbdcopy base.raw "$(uri f)"
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
assert h.can_zero() and not h.can_trim()
h.zero(3000001, 1234567)
' "$(uri f)"
    for server in f a; do timeout 60 nbdcopy "$(uri $server)" $server.out; done
    same f.out a.out
    cmp -n 3000001 -i 1234567:0 a.out /dev/zero
    cmp -n 1234567 a.out base.raw
}

@test "zeroes of more than 64 MiB arrive whole where nbdkit cannot zero, at both ends" {
    /usr/bin/python3 -c '
with open("full.raw", "wb") as f:
    for i in range(160): f.write(b"\xee" * (1 << 20))'
    cp full.raw a.raw
    # The plugin answers every zero with "not supported", as a file system without holes does.
    nozero=(eval get_size='echo 160M' can_write='exit 0' can_zero='exit 0' can_flush='exit 0'
        pread='dd if=$path iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none'
        pwrite='dd of=$path oflag=seek_bytes seek=$4 conv=notrunc status=none'
        zero='echo EOPNOTSUPP >&2; exit 1')
    path=$PWD/a.raw start a "${nozero[@]}"
    path=$PWD/full.raw fan f "${nozero[@]}" fanout-dest="$(uri a)"
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.zero(150 << 20, 1 << 20)
h.shutdown()
' "$(uri f)"
    stop f
    cmp -n $((150 << 20)) -i $((1 << 20)):0 full.raw /dev/zero
    same full.raw a.raw
}

# --- Destinations that are late, slow, broken or full.

# metric FILE NAME DESTINATION: a counter's value.
metric() { sed -n "s/^nbdkit_fanout_$2{destination=\"$3\"} //p" "$1"; }

# said TEXT: in the filter's log.
said() { grep -q "$1" f.log; }

# owed FILE: how many bytes a state file owes.
owed() { jq '[.owed[][1]] | add // 0' "$1"; }

# peak NAME: the most memory that the server has had, in KiB.
peak() { awk '/^VmHWM:/ { print $2 }' "/proc/$(cat "$1.pid")/status"; }

# back NAME FILE: the destination NAME is there again, with what it had.
back() { start "$1" -t 1 file "$2"; }

# For tests in which a destination comes back: it is not given up before, however long a busy machine
# takes to start it.
PATIENT=(fanout-retries=100 fanout-retry-max=0.5)

@test "killed with -9 and back again: the client goes on, then it is a copy again and takes part" {
    random_file base.raw 32M
    truncate -s 32M a.raw victim.raw primary.raw
    start a file a.raw
    back victim victim.raw
    fan f file primary.raw fanout-state=. "${PATIENT[@]}" fanout-retry-delay=0.3 fanout-dest="$(uri a)" fanout-name=a \
        fanout-dest="$(uri victim)" fanout-name=victim
    python '
import os, signal, subprocess, time
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
def write(i): h.pwrite(data[i << 20:(i + 1) << 20], i << 20)
for i in range(10): write(i)
os.kill(int(open("victim.pid").read()), signal.SIGKILL)
for i in range(10, 20): write(i)
h.flush()
open("dead", "w").close()
while not os.path.exists("live"): time.sleep(0.02)
for i in range(20, 32): write(i)
h.flush()
# All of it is there now, without a drain.
assert open("victim.raw", "rb").read() == data
' "$(uri f)" 3>&- &
    client=$!
    until_true 20 [ -e dead ]
    # Before the client was told that its writes were done the state owed them.
    [ "$(owed victim.json)" -gt 0 ]
    back victim victim.raw
    until_true 20 said 'victim: has caught up'
    touch live
    wait $client
    stop f
    [ "$(owed victim.json)" -eq 0 ]
    for copy in a primary victim; do same base.raw $copy.raw; done
    said 'warning: victim: .*the connection was lost; .* are owed, trying again in 0.3 s'
}

@test "the same with qemu-nbd, and a primary that takes one request at a time" {
    random_file base.raw 16M
    truncate -s 16M primary.raw q.raw
    start_qemu q -f raw q.raw
    path=$PWD/primary.raw fan f eval get_size='echo 16M' can_write='exit 0' can_flush='exit 0' \
        pread='dd if=$path iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none' \
        pwrite='dd of=$path oflag=seek_bytes seek=$4 conv=notrunc status=none' \
        "${PATIENT[@]}" fanout-retry-delay=0.2 fanout-dest="$(uri q)" fanout-name=q
    python '
import os, signal
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
for i in range(16):
    if i == 5: os.kill(int(open("q.pid").read()), signal.SIGKILL)
    h.pwrite(data[i << 20:(i + 1) << 20], i << 20)
    if i == 10: open("dead", "w").close()
' "$(uri f)" 3>&- &
    client=$!
    until_true 20 [ -e dead ]
    stop q KILL
    start_qemu q -f raw q.raw
    wait $client
    stop f
    stop q
    same base.raw primary.raw
    same base.raw q.raw
}

@test "fail: after the retries the next request fails with the name; the next client has it caught up" {
    random_file base.raw 8M
    truncate -s 8M victim.raw
    back victim victim.raw
    fan f memory 8M fanout-retries=2 fanout-retry-delay=0.1 fanout-dest="$(uri victim)" fanout-name=victim
    python '
import os, signal, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"a" * 65536, 0)
os.kill(int(open("victim.pid").read()), signal.SIGKILL)
begin = time.monotonic()
n = 0
try:
    while True:
        h.pwrite(b"b" * 65536, 65536)
        n += 1
        time.sleep(0.01)
except nbd.Error as e:
    assert e.errno == "EIO", e
took = time.monotonic() - begin
assert n > 5 and 0.25 < took < 10, (n, took)
assert h.pread(1, 65536) == b"b"
' "$(uri f)"
    grep -q 'error: victim: cannot connect: .*: this destination is no longer a copy' f.log
    until_true 10 grep -q 'error: victim: .* 131072 bytes are owed; not saved' f.log
    stop victim
    back victim victim.raw
    timeout 20 nbdcopy base.raw "$(uri f)"
    stop f
    same base.raw victim.raw
}

@test "detach: a server that is full; the others finish, the state owes it, the next run brings it" {
    random_file base.raw 16M
    truncate -s 16M primary.raw a.raw full.raw
    start a file a.raw
    start full -t 1 --filter=error file full.raw error-pwrite=ENOSPC error-pwrite-rate=100%
    mkdir state
    destinations=(fanout-state=state fanout-on-error=detach fanout-dest="$(uri a)" fanout-name=a
        fanout-dest="$(uri full)" fanout-name=full)
    fan f file primary.raw "${destinations[@]}"
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    stop f
    same base.raw primary.raw
    same base.raw a.raw
    grep 'error: full: cannot write .*: No space left on device: it is detached, the others go on' f.log
    grep 'error: full: .* 16777216 bytes are owed; saved in .*/state/full.json' f.log
    [ "$(owed state/full.json)" -eq 16777216 ]
    [ "$(owed state/a.json)" -eq 0 ]
    stop full

    # Made larger; a client that only looks is enough.
    back full full.raw
    fan f file primary.raw "${destinations[@]}"
    timeout 20 nbdinfo --size "$(uri f)"
    stop f
    same base.raw full.raw
    [ "$(owed state/full.json)" -eq 0 ]

    # What is owed is owed to this primary and no other.
    truncate -s 17M full.raw a.raw other.raw
    stop a
    start a file a.raw
    stop full
    back full full.raw
    fan f file other.raw "${destinations[@]}"
    run write_once "$(uri f)"
    [ "$status" -ne 0 ]
    grep -q 'error: .*state/.*.json is the state of a primary of 16777216 bytes' f.log
    stop f
    echo '{"nbdkit-replicate":1,"owed":[[5' > state/a.json
    fails_to_start 'state/a.json is not a usable state file' "${destinations[@]}"
}

# copied NAME: bytes that it was given to catch up, by stats.prom.
copied() { sed -n "s/^nbdkit_fanout_copied_bytes_total{destination=\"$1\"} //p" stats.prom; }

@test "fanout-new=owed: a destination that is added later is given everything, and once" {
    random_file primary.raw 16M
    cp primary.raw a.raw
    truncate -s 16M b.raw
    start a file a.raw
    start b file b.raw
    mkdir state
    fan f file primary.raw fanout-state=state fanout-dest="$(uri a)" fanout-name=a
    write_once "$(uri f)"
    stop f
    same primary.raw a.raw
    parameters=(fanout-state=state fanout-stats=stats.prom fanout-new=owed
        fanout-dest="$(uri a)" fanout-name=a fanout-dest="$(uri b)" fanout-name=b)
    # The second time it has a file, and is owed nothing.
    for at_least in 16777216 0; do
        fan f file primary.raw "${parameters[@]}"
        write_once "$(uri f)"
        stop f
        same primary.raw a.raw
        same primary.raw b.raw
        [ "$(owed state/b.json)" -eq 0 ]
        [ "$(copied a)" -eq 0 ]
        [ "$(copied b)" -ge "$at_least" ]
    done
    [ "$(copied b)" -eq 0 ]
    fails_to_start 'fanout-new=owed: wants fanout-state' fanout-new=owed fanout-dest="$(uri a)"
    fails_to_start 'fanout-new=none: must be' fanout-new=none fanout-dest="$(uri a)"
}

@test "a server that answers with errors for a while: what failed is brought later" {
    random_file base.raw 16M
    truncate -s 16M a.raw
    touch broken
    start a -t 4 --filter=error file a.raw error-pwrite=EIO error-pwrite-rate=50% error-file="$PWD/broken"
    fan f memory 16M fanout-retries=20 fanout-retry-delay=0.1 fanout-retry-max=0.2 fanout-dest="$(uri a)" \
        fanout-name=a
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    grep -q 'warning: a: cannot write .*: Input/output error; .* are owed, trying again' f.log
    rm broken
    stop f
    same base.raw a.raw
}

@test "a black hole: the client goes on after fanout-timeout, the others are whole" {
    random_file base.raw 16M
    truncate -s 16M a.raw hole.raw
    start a file a.raw
    back hole hole.raw
    fan f memory 16M fanout-on-error=detach fanout-retries=1 fanout-retry-delay=0.1 \
        fanout-timeout=1 fanout-connect-timeout=0.5 fanout-state=. \
        fanout-dest="$(uri a)" fanout-name=a fanout-dest="$(uri hole)" fanout-name=hole
    # It accepts connections, for the kernel does, and never says a word.
    kill -STOP "$(cat hole.pid)"
    SECONDS=0
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    [ "$SECONDS" -lt 20 ]
    same base.raw a.raw
    stop f
    kill -CONT "$(cat hole.pid)"
    grep -q 'error: hole: .*: it is detached, the others go on' f.log
    [ "$(owed hole.json)" -eq 16777216 ]
    grep -q 'hole: connected, but the server sent no greeting within 0.5 s' f.log
    # It was there at the start, and stops in the middle.
    stop hole
    back hole hole.raw
    fan f memory 16M fanout-on-error=detach fanout-retries=1 fanout-retry-delay=0.1 \
        fanout-timeout=1 fanout-connect-timeout=0.5 \
        fanout-dest="$(uri a)" fanout-name=a fanout-dest="$(uri hole)" fanout-name=hole
    python '
import os, signal, time
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
slowest = 0
for i in range(16):
    if i == 8: os.kill(int(open("hole.pid").read()), signal.SIGSTOP)
    begin = time.monotonic()
    h.pwrite(data[i << 20:(i + 1) << 20], i << 20)
    slowest = max(slowest, time.monotonic() - begin)
h.flush()
assert 0.9 < slowest < 10, slowest
' "$(uri f)"
    same base.raw a.raw
    grep -q 'warning: hole: cannot write .*: no answer within 1 s (fanout-timeout)' f.log
    until_true 10 grep -q 'error: hole: .*: it is detached, the others go on' f.log
    kill -CONT "$(cat hole.pid)"
}

@test "detach: one that is not there at the start is brought up when it comes" {
    random_file base.raw 8M
    truncate -s 8M late.raw
    fan f memory 8M fanout-on-error=detach fanout-retry-delay=0.1 fanout-retry-max=0.2 \
        fanout-dest="$(uri late)" fanout-name=late
    grep -q 'warning: late: cannot connect: .*: it is tried again when a client comes' f.log
    python '
import os, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(open("base.raw", "rb").read(), 0)
open("written", "w").close()
while not os.path.exists("live"): time.sleep(0.02)
' "$(uri f)" 3>&- &
    client=$!
    until_true 20 [ -e written ]
    until_true 20 said 'error: late: .*: it is detached'
    back late late.raw
    until_true 20 said 'late: has caught up'
    touch live
    wait $client
    same base.raw late.raw
}

@test "async: a slow destination does not slow the client, and is equal in the end; what is zero is sent so" {
    random_file part.raw 8M
    truncate -s 64M base.raw primary.raw
    dd if=part.raw of=base.raw bs=1M seek=5 conv=notrunc status=none
    # It holds other bytes, which zeroes have to replace.
    tr '\0' x < base.raw > slow.raw
    start slow -t 1 --filter=delay --filter=stats file slow.raw delay-write=1 statsfile="$PWD/slow.stats"
    fan f file primary.raw fanout-mode=async fanout-concurrency=2 fanout-dest="$(uri slow)" fanout-name=slow \
        fanout-stats=stats.prom
    SECONDS=0
    timeout 60 nbdcopy --flush --no-extents -S 0 --request-size=65536 base.raw "$(uri f)"
    [ "$SECONDS" -lt 20 ]   # 1024 requests at 1 s, 2 at a time
    stop f
    same base.raw slow.raw
    stop slow
    [ "$(sed -n 's/^write: \([0-9]*\) ops.*/\1/p' slow.stats)" -le 20 ]
    [ "$(metric stats.prom owed_bytes slow)" -eq 0 ]
    [ "$(metric stats.prom copied_bytes_total slow)" -ge 67108864 ]
    grep -E 'slow: behind, [1-9][0-9]* bytes behind; [0-9]+ bytes in [0-9]+ requests, [0-9]+ in flight, 0 retries, [0-9.]+ MB/s' f.log
}

@test "a server run with --run ends when all is where it belongs" {
    random_file base.raw 16M
    truncate -s 16M primary.raw slow.raw
    start slow file slow.raw
    timeout 60 nbdkit -U - --filter="$FANOUT" file primary.raw fanout-mode=async fanout-rate=8M \
        fanout-dest="$(uri slow)" fanout-name=slow --run 'nbdcopy --flush base.raw "$uri"'
    same base.raw slow.raw
}

@test "SIGTERM with a client connected and a destination behind: all is drained before the end" {
    random_file base.raw 16M
    truncate -s 16M primary.raw slow.raw
    start slow file slow.raw
    fan f file primary.raw fanout-mode=async fanout-rate=8M fanout-dest="$(uri slow)" fanout-name=slow
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(open("base.raw", "rb").read(), 0)
os.kill(int(open("f.pid").read()), signal.SIGTERM)
' "$(uri f)"
    until_true 30 gone "$(cat f.pid)"
    same base.raw slow.raw
}

@test "fanout-rate: no faster, and no slower by much" {
    random_file base.raw 8M
    truncate -s 8M a.raw
    start a file a.raw
    fan f memory 8M fanout-dest="$(uri a)" fanout-name=a fanout-rate=4M
    python '
import time
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
begin = time.monotonic()
h.pwrite(data, 0)
took = time.monotonic() - begin
assert 1.4 < took < 8, took
' "$(uri f)"
    stop f
    same base.raw a.raw
}

@test "fanout-active=2 of 3: the third has its turn when one of them is through" {
    random_file base.raw 8M
    for name in a b c; do
        truncate -s 8M $name.raw
        start $name file $name.raw
    done
    fan f memory 8M fanout-active=2 fanout-mode=async fanout-dest="$(uri a)" fanout-name=a fanout-rate=8M \
        fanout-dest="$(uri b)" fanout-name=b fanout-rate=2M fanout-dest="$(uri c)" fanout-name=c
    said 'fanout: 2 of 3 destinations are served at once'
    timeout 60 nbdcopy base.raw "$(uri f)"
    said 'c: waits for its turn'
    stop f
    for name in a b c; do same base.raw $name.raw; done
    # c was connected when a was through, and b was not yet.
    awk '/debug: c: connected/ { c = NR } /debug: a: 8388608 bytes/ { a = NR } / b: [0-9]+ bytes written/ { b = NR }
        END { exit !(c && b && c < b) }' f.log
    [ "$(grep -c 'debug: c: connected' f.log)" -eq 1 ]
}

@test "fanout-active: serial, too many, and very many" {
    for i in 1 2 3 4 5 6 7 8 9; do
        start d$i memory 1M
        all+=(fanout-dest="$(uri d$i)" fanout-name=d$i)
    done
    fan f memory 1M fanout-active=serial "${all[@]}"
    said 'fanout: 1 of 9 destinations are served at once (serial)'
    write_once "$(uri f)"
    stop f
    for i in 1 9; do
        timeout 20 nbdcopy "$(uri d$i)" out
        [ "$(head -c 65536 out | tr -d x | wc -c)" -eq 0 ]
    done
    fan f memory 1M fanout-active=20 "${all[@]}"
    said 'fanout-active=20: there are 9 destinations, so all are served at once'
    said 'warning: fanout: 9 destinations are served at once: more than 8'
}

@test "patience at the end: after fanout-drain-timeout the rest is told, saved, and brought by the next run" {
    random_file base.raw 16M
    truncate -s 16M primary.raw slow.raw
    back slow slow.raw
    mkdir state
    fan f file primary.raw fanout-mode=async fanout-state=state fanout-drain-timeout=1 \
        fanout-dest="$(uri slow)" fanout-name=slow fanout-rate=16K
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    SECONDS=0
    stop f  # what waits for the rate, minutes of it, is not waited for
    [ "$SECONDS" -lt 12 ]
    grep 'warning: fanout: not all is where it belongs after 1 s (fanout-drain-timeout)' f.log
    grep 'error: slow: .*[1-9][0-9]* bytes are owed; saved in .*state/slow.json' f.log
    left=$(owed state/slow.json)
    [ "$left" -gt 0 ] && [ "$left" -le 16777216 ]
    fan f file primary.raw fanout-mode=async fanout-state=state fanout-dest="$(uri slow)" fanout-name=slow
    timeout 20 nbdinfo --size "$(uri f)"
    stop f
    grep -q "slow: $left bytes are owed, from an earlier run" f.log
    same base.raw slow.raw
    [ "$(owed state/slow.json)" -eq 0 ]
}

@test "our own server killed with -9 while one is behind: the next run owes all that is missing" {
    random_file base.raw 64M
    truncate -s 64M primary.raw slow.raw
    back slow slow.raw
    mkdir state
    parameters=(fanout-mode=async fanout-state=state fanout-dest="$(uri slow)" fanout-name=slow)
    fan f file primary.raw "${parameters[@]}" fanout-rate=2M
    timeout 60 nbdcopy --flush base.raw "$(uri f)"
    stop f KILL
    must_fail cmp -s base.raw slow.raw
    fan f file primary.raw "${parameters[@]}"
    timeout 20 nbdinfo --size "$(uri f)"
    stop f
    same base.raw primary.raw
    same base.raw slow.raw
    # Two servers do not share a state.
    fan f file primary.raw "${parameters[@]}"
    fails_to_start 'another server is using' "${parameters[@]}"
}

@test "fanout-verify: what was not kept as written is found, told and written again" {
    random_file base.raw 8M
    truncate -s 8M a.raw
    start a file a.raw
    fan f memory 8M fanout-verify=100 fanout-dest="$(uri a)" fanout-name=a fanout-stats=stats.prom
    python '
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(data, 0)
with open("a.raw", "r+b") as f:
    f.seek(3000000)
    f.write(b"rotten")
' "$(uri f)"
    stop f
    same base.raw a.raw
    grep 'error: a: 1 blocks of 65536 bytes that were read back are not what was written there' f.log
    [ "$(metric stats.prom differences_total a)" -eq 1 ]
    fan f file base.raw fanout-verify=100 fanout-dest="$(uri a)" fanout-name=a
    python 'h = nbd.NBD(); h.connect_uri(sys.argv[1]); h.pwrite(h.pread(512, 0), 0)' "$(uri f)"
    stop f
    said 'a: 100% of the blocks were read back: all are equal'
}

@test "five destinations, one slow, one dead, one full, one stopped: less than 96 MiB, and the client is quick" {
    random_file base.raw 256M
    truncate -s 256M primary.raw
    for name in good slow dead full hole; do truncate -s 256M $name.raw; done
    start good file good.raw
    start slow -t 2 --filter=delay file slow.raw delay-write=100ms
    back dead dead.raw
    start full -t 1 --filter=error file full.raw error-pwrite=ENOSPC error-pwrite-rate=1%
    back hole hole.raw
    fan f file primary.raw fanout-on-error=detach fanout-state=. fanout-stats=stats.prom fanout-retry-delay=0.2 \
        fanout-retry-max=0.5 fanout-timeout=1 fanout-connect-timeout=0.5 fanout-dest="$(uri good)" fanout-name=good \
        fanout-dest="$(uri slow)" fanout-name=slow fanout-mode=async \
        fanout-dest="$(uri dead)" fanout-name=dead fanout-dest="$(uri full)" fanout-name=full \
        fanout-dest="$(uri hole)" fanout-name=hole
    stop dead KILL
    timeout 100 nbdcopy --flush -C 4 -T 4 base.raw "$(uri f)" 3>&- &
    client=$!
    until_true 20 grep -q 'pwrite count' f.log
    kill -STOP "$(cat hole.pid)"
    wait $client
    same base.raw primary.raw
    kill -CONT "$(cat hole.pid)"
    back dead dead.raw
    memory=$(peak f)
    until_true 60 said 'dead: connected'
    kill -TERM "$(cat f.pid)"
    # Until it has drained, it may need more.
    while ! gone "$(cat f.pid)"; do
        now=$(peak f) && [ -n "$now" ] && memory=$now
        sleep 0.05
    done
    echo "$memory KiB"
    [ "$memory" -lt $((96 * 1024)) ]
    for name in good slow dead hole; do same base.raw $name.raw; done
    grep -q 'error: full: .*No space left on device: it is detached' f.log
}

@test "nbds with certificates: only who knows them; over TCP, kept alive" {
    port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir pki other
    for dir in pki other; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
            -keyout $dir/ca-key.pem -out $dir/ca-cert.pem 2> /dev/null
    done
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout pki/server-key.pem -out req.pem 2> /dev/null
    openssl x509 -req -in req.pem -CA pki/ca-cert.pem -CAkey pki/ca-key.pem -CAcreateserial -days 2 \
        -copy_extensions copy -out pki/server-cert.pem 2> /dev/null
    nbdkit -f -p "$port" -i 127.0.0.1 -P a.ready --tls=require --tls-certificates="$PWD/pki" memory 1M \
        > a.log 2>&1 3>&- &
    echo $! > a.pid
    until_true 20 [ -s a.ready ]
    fails_to_start 'requires TLS encryption first' fanout-dest="nbd://localhost:$port" fanout-name=x
    fails_to_start 'x: cannot connect:' fanout-dest="nbds://localhost:$port?tls-certificates=$PWD/other" fanout-name=x
    fan f memory 1M fanout-dest="nbds://localhost:$port?tls-certificates=$PWD/pki" fanout-name=x
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(b"x" * 65536, 0)
# The connection has a timer (02: keep-alive), as the kernel tells.
port = "%04X" % int(sys.argv[2])
lines = [l.split() for f in ("/proc/net/tcp", "/proc/net/tcp6") for l in open(f)]
timers = [l[5][:2] for l in lines if l[2].endswith(":" + port) and l[3] == "01"]
assert timers and all(t in ("02", "01") for t in timers) and "02" in timers, timers
' "$(uri f)" "$port"
}
