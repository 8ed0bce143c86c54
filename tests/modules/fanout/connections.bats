# SPDX-License-Identifier: BSD-3-Clause
#
# How destinations are connected.
load ../../lib
load fanout

@test "a relative path in a URI works when nbdkit becomes a daemon" {
    start a memory 1M
    nbdkit -U "$PWD/d.sock" -P d.pid --filter="$FANOUT" memory 1M \
        fanout-dest='nbd+unix:///?socket=a.sock'
    until_true 10 [ -s d.pid ]
    timeout 60 qemu-io -f raw -c 'write -P 7 0 64k' "$(uri d | sed 's,nbd+unix:///?socket=,nbd:unix:,')"
    timeout 60 nbdcopy "$(uri a)" a.out
    [ "$(od -An -tu1 -N1 a.out | tr -d ' ')" = 7 ]
}

@test "the log tells how each destination is connected" {
    start a memory 1M
    start b memory 1M
    fanout f memory 1M fanout-dest="$(uri a)" fanout-name=dr fanout-connections=3 \
        fanout-dest="$(uri b)" fanout-name=cloud fanout-connections=1 fanout-mode=async
    nbdinfo "$(uri f)"
    stop f
    grep 'dr: connecting$' f.log
    grep 'dr: connected 3 times$' f.log
    grep 'dr: connected by 3 connections, sync: 1048576 bytes, ' f.log
    grep 'cloud: connected by 1 connection, async: 1048576 bytes, ' f.log
}

@test "fanout-concurrency limits the requests in flight of each destination" {
    # Each write takes 100 ms, long enough for others to come meanwhile.
    start slow -t 64 --filter=log --filter=delay memory 8M delay-write=100ms logfile="$PWD/slow.requests"
    start fast -t 64 --filter=log --filter=delay memory 8M delay-write=10ms logfile="$PWD/fast.requests"
    fanout f -t 64 memory 8M fanout-connections=1 fanout-dest="$(uri slow)" fanout-concurrency=4 \
        fanout-dest="$(uri fast)" fanout-concurrency=1
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
b = nbd.Buffer.from_bytearray(bytearray(b"y" * 4096))
for i in range(32): h.aio_pwrite(b, i * 4096)
while h.aio_in_flight() > 0: h.poll(-1)
' "$(uri f)"
    stop f
    stop fast
    stop slow
    # The log has a line at the start and at the end of a request.
    in_flight() { awk '/ Write id=/ { if (++open > most) most = open } /\.\.\.Write id=/ { --open } END { print +most }' "$1"; }
    [ "$(grep -c ' Write id=' fast.requests)" -eq 32 ]
    [ "$(in_flight fast.requests)" -eq 1 ]
    [ "$(grep -c ' Write id=' slow.requests)" -eq 32 ]
    [ "$(in_flight slow.requests)" -le 4 ]
    [ "$(in_flight slow.requests)" -ge 2 ]
}

@test "a server that sends no greeting: fanout-connect-timeout" {
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
    fails_to_start 'hole: connected, but the server sent no greeting within 0.5 s' \
        fanout-dest="$(uri hole)" fanout-name=hole fanout-connect-timeout=0.5
}

@test "a qemu-nbd without a free client slot is an error that names the cause" {
    truncate -s 1M q.raw
    start_qemu q -f raw q.raw   # --shared=1 is its default
    client_stays q
    fails_to_start 'no free client slot (qemu-nbd serves one client at a time unless started with --shared=N' \
        fanout-dest="$(uri q)" fanout-connect-timeout=1
    stop client-of-q
    # The slot is free again, for the probe and for the connection after it.
    fanout f memory 1M fanout-dest="$(uri q)"
    write_once "$(uri f)"
}

@test "a qemu-nbd slot taken after the start: the client is refused, with the cause in the log" {
    truncate -s 1M q.raw
    start_qemu q -f raw q.raw
    fanout f memory 1M fanout-dest="$(uri q)" fanout-name=q fanout-connect-timeout=5
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
g = nbd.NBD()
try:
    g.connect_uri(sys.argv[2])
    sys.exit("connected")
except nbd.Error as e:
    print(e)
' "$(uri q)" "$(uri f)"
    grep -q 'error: q: connected, but the server sent no greeting within 5 s: it has no free client slot' f.log
    until_true 20 write_once "$(uri f)"
}

@test "fewer connections than fanout-connections are a warning" {
    truncate -s 1M q.raw
    start_qemu q --shared=2 -f raw q.raw
    fanout f memory 1M fanout-dest="$(uri q)" fanout-name=q fanout-connections=4 fanout-connect-timeout=5
    write_once "$(uri f)"
    grep -q 'warning: q: .*no free client slot.*; going on with 2 of 4 connections' f.log
}

@test "a client that goes away in the handshake has left, and the next one is served" {
    start a memory 1M
    fanout f memory 1M fanout-dest="$(uri a)" fanout-name=a
    leaves_in_handshake f
    until_true 20 said 'a: 0 bytes written and'
    must_fail gone "$(cat f.pid)"
    write_once "$(uri f)"
    until_true 20 said 'a: 65536 bytes written and'
}

@test "a client that finds another size of the primary is refused while the destinations are open" {
    truncate -s 1M primary.raw
    truncate -s 2M a.raw
    start a file a.raw
    fanout f file primary.raw fanout-mode=async fanout-dest="$(uri a)" fanout-name=a
    client_stays f
    truncate -s 2M primary.raw
    must_fail write_once "$(uri f)"
    said 'error: fanout: the primary had 1048576 bytes when the destinations were opened, and has 2097152 now'
    stop client-of-f
    until_true 20 said 'a: 0 bytes written and'
    python 'h = nbd.NBD(); h.connect_uri(sys.argv[1]); h.pwrite(b"x" * 65536, 1536 << 10)' "$(uri f)"
    stop f
    same primary.raw a.raw
}

@test "a primary that has become smaller is not read past its end" {
    random_file primary.raw 16M
    truncate -s 16M a.raw
    start a file a.raw
    fanout f file primary.raw fanout-state=. fanout-new=owed fanout-mode=async fanout-rate=1M fanout-retries=0 \
        fanout-dest="$(uri a)" fanout-name=a
    python '
import os
h = nbd.NBD(); h.connect_uri(sys.argv[1])
os.truncate("primary.raw", 2 << 20)' "$(uri f)"
    until_true 20 said 'error: a: cannot read the primary at offset .* bytes are owed'
    must_fail gone "$(cat f.pid)"
    said 'warning: fanout: the primary had 16777216 bytes when the destinations were opened, and has 2097152 now'
}
