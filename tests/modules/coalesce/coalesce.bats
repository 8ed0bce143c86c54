# SPDX-License-Identifier: BSD-3-Clause
load ../../lib

# A disk of 64 MiB, data and holes, over a layer that takes 2 ms for each read. What reaches that
# layer is in requests.
prepare() { cp "$BATS_FILE_TMPDIR/disk" .; }
setup_file() {
    cd "$BATS_FILE_TMPDIR"
    random_file disk 24M
    truncate -s 40M disk
    random_file tail 16M 2
    cat tail >> disk
    truncate -s 64M disk
}
slow() {
    start server -r --filter="$COALESCE" --filter=log --filter=delay file disk rdelay=2ms \
        logfile=requests "$@"
}
reads() { grep -c ' Read id' requests; }
# reads_fewer_than N: in all; says how many there were.
reads_fewer_than() {
    echo "reads below: $(reads)"
    [ "$(reads)" -lt "$1" ]
}

@test "each client gets the same bytes, in few large requests" {
    slow
    for mode in "" "-C 1 -R 1" "--synchronous" "--request-size=65536" "-C 4 -T 4"; do
        : > requests
        rm -f out
        timeout 60 nbdcopy $mode "$(uri server)" out
        same disk out
        reads_fewer_than 60  # it sends 160 at least
    done
    : > requests
    timeout 60 nbdcopy --no-extents "$(uri server)" out
    same disk out
    reads_fewer_than 156  # 96 of its 256 are of holes
    : > requests
    timeout 60 qemu-img convert -f raw -O raw "$(uri server)" out
    same disk out
    reads_fewer_than 100
}

@test "holes are not read" {
    slow
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    same disk out
    /usr/bin/python3 - <<'PY'
import re
for line in open("requests"):
    m = re.search(r" Read id=\d+ offset=0x([0-9a-f]+) count=0x([0-9a-f]+)", line)
    if m:
        start, end = int(m[1], 16), int(m[1], 16) + int(m[2], 16)
        assert end <= 24 << 20 or start >= 40 << 20 and end <= 56 << 20, line
PY
}

@test "what is read ahead shortens a copy by one client in series" {
    slow coalesce-workers=8 coalesce-chunk=1M
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    # Several at a time: a read begins before the one before it has ended.
    awk '/ Read id/ { if (++busy > most) most = busy } /\.\.\.Read id/ { --busy } END { exit most < 3 }' requests
}

@test "extents are those of the layer below" {
    slow
    timeout 60 nbdcopy --synchronous "$(uri server)" null:
    timeout 60 nbdinfo --map "$(uri server)" > with
    nbdkit -r -U - file disk --run 'timeout 60 nbdinfo --map "$uri"' > without
    diff with without
}

@test "what the source does not want copied is not read ahead, but can be read" {
    printf '%s\n' '0 8M' '8M 48M hole' '56M 8M' > map
    start server -r --filter="$DELTA" --filter="$COALESCE" --filter=log --filter=extentlist \
        --filter=delay file disk rdelay=2ms extentlist=map logfile=requests
    timeout 60 nbdcopy --synchronous "$(uri server)" null:
    reads_fewer_than 24
    timeout 60 nbdcopy --no-extents "$(uri server)" out
    same disk out
}

@test "over a serial layer reads are coalesced too" {
    for serialize in requests all-requests connections; do
        : > requests
        start server -r --filter="$COALESCE" --filter=log --filter=noparallel --filter=delay \
            file disk rdelay=2ms serialize=$serialize logfile=requests
        for mode in "" "--synchronous"; do
            timeout 60 nbdcopy $mode "$(uri server)" out
            same disk out
        done
        reads_fewer_than 200
        stop server
    done
}

@test "over a layer serial by connection the workers have their own" {
    start server -r --filter="$COALESCE" --filter=log --filter=noparallel --filter=delay \
        file disk rdelay=2ms serialize=requests logfile=requests coalesce-workers=3
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    same disk out
    stop server
    grep ' Read id' requests | sed 's/.*connection=\([0-9]*\).*/\1/' | sort -u > connections
    [ "$(grep -c 'Connect ' requests)" -ge 4 ] || [ "$(wc -l < connections)" -ge 2 ]
}

@test "several exports at once, each its own" {
    mkdir exports
    mv disk exports/a
    random_file exports/b 32M 7
    start server -r --filter="$COALESCE" --filter=delay file dir=exports rdelay=2ms
    timeout 60 nbdcopy "$(uri server a)" a &
    timeout 60 nbdcopy "$(uri server b)" b
    wait $!
    same exports/a a
    same exports/b b
}

@test "without background reading a chunk is still one read" {
    slow coalesce-prefetch=off
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    same disk out
    reads_fewer_than 60
}

@test "random reads and writes agree with a model, by two connections" {
    start server --filter="$COALESCE" --filter=delay memory 32M rdelay=1ms coalesce-chunk=256K coalesce-memory=2M
    timeout 120 /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, random, sys
handles = [nbd.NBD(), nbd.NBD()]
for h in handles: h.connect_uri(sys.argv[1])
size = handles[0].get_size()
model = bytearray(size)
r = random.Random(3)
for i in range(1500):
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

@test "memory stays bounded" {
    random_file big 256M
    start server -r --filter="$COALESCE" --filter=delay file big rdelay=2ms coalesce-memory=16M
    timeout 60 nbdcopy --request-size=65536 "$(uri server)" null:
    peak=$(awk '/VmHWM/ { print $2 }' "/proc/$(cat server.pid)/status")
    echo "peak: $peak KiB"
    [ "$peak" -lt 65536 ]
}

# asked: how many reads clients have sent.
asked() { grep -c 'coalesce: pread' server.log || true; }

@test "a client that dies leaves nothing behind" {
    # One thread a connection: with more, nbdkit 1.32 itself may abort when a client goes while another
    # thread is about to answer it ("raw_send_socket: Assertion").
    start server -r -t 1 --filter="$COALESCE" --filter=delay file disk rdelay=500ms
    for n in 1 2 3; do
        seen=$(asked)
        nbdcopy "$(uri server)" null: 3>&- &
        client=$!
        until_true 10 eval '[ "$(asked)" -gt "$seen" ]'
        kill -KILL $client
        wait $client || true
    done
    timeout 60 nbdcopy "$(uri server)" out
    same disk out
    pid=$(cat server.pid)
    kill -TERM "$pid"
    until_true 5 gone "$pid"
}

@test "a server told to stop in the middle of it stops" {
    start server -r --filter="$COALESCE" --filter=delay file disk rdelay=100ms
    nbdcopy --synchronous "$(uri server)" null: 3>&- &
    client=$!
    until_true 10 grep -q 'coalesce: pread' server.log
    pid=$(cat server.pid)
    kill -TERM "$pid"
    until_true 5 gone "$pid"
    wait $client || true
    must_fail grep -qi 'assert' server.log
}

@test "errors of the layer below reach the client, and pass with their cause" {
    start server -r --filter="$COALESCE" --filter=error --filter=delay file disk rdelay=1ms \
        error-pread-rate=10%
    timeout 120 /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
disk = open("disk", "rb").read()
failed = 0
for at in range(0, len(disk), 65536):
    for attempt in range(30):
        try:
            assert h.pread(65536, at) == disk[at:at+65536], at
            break
        except nbd.Error:
            failed += 1
    else:
        raise SystemExit("never read: %d" % at)
print("failed:", failed)
PY
    stop server
    touch broken
    start server -r --filter="$COALESCE" --filter=error --filter=delay file disk rdelay=1ms \
        error-pread-rate=100% error-pread-file="$PWD/broken"
    must_fail timeout 60 nbdcopy --synchronous "$(uri server)" out
    rm broken
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    same disk out
}

@test "what has priority is read first, whoever comes for it" {
    start server -r --filter="$COALESCE" --filter=log --filter=delay file disk rdelay=2ms \
        logfile=requests coalesce-priority=40M-42M,0-64K
    timeout 60 /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, sys, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
for i in range(500):
    log = open("requests").read()
    if log.count("...Read id") >= 2: break
    time.sleep(0.02)
disk = open("disk", "rb").read()
for at in (41 << 20, 0, 40 << 20, 5000):
    assert h.pread(4096, at) == disk[at:at+4096]
PY
    stop server
    grep ' Read id' requests | sed 's/.*\(offset=[^ ]* count=[^ ]*\).*/\1/' | sort > read
    printf 'offset=0x0 count=0x10000\noffset=0x2800000 count=0x200000\n' | diff - read
}

@test "merged extents: short gaps are data, and a copy is right" {
    truncate -s 32M scattered
    for n in 0 1 2 3 4 5 6 7; do
        dd if=disk of=scattered bs=64K count=1 skip=$n seek=$((2 * n)) conv=notrunc status=none
    done
    for how in exact merged; do
        start server -r --filter="$COALESCE" file scattered coalesce-extents=$how coalesce-gap=64K
        nbdinfo --map --json "$(uri server)" > $how.json
        rm -f out
        timeout 60 nbdcopy "$(uri server)" out
        same scattered out
        stop server
    done
    [ "$(jq length exact.json)" -eq 16 ]
    jq -c '[.[] | [.offset, .length, .type]]' merged.json > merged
    echo '[[0,983040,0],[983040,32571392,3]]' | diff - merged
    # One by one, as qemu-img asks, it is the same.
    start server -r --filter="$COALESCE" file scattered coalesce-extents=merged
    qemu-img map --output=json "nbd+unix:///?socket=$PWD/server.sock" > qemu.json
    jq -c '[.[] | [.start, .length, .data]]' qemu.json > qemu
    echo '[[0,983040,true],[983040,32571392,false]]' | diff - qemu
    rm -f out
    timeout 60 qemu-img convert -f raw -O raw "nbd+unix:///?socket=$PWD/server.sock" out
    same scattered out
}

@test "the counters, in a file and in one line at the end" {
    slow coalesce-stats=stats
    grep -q '^nbdkit_coalesce_requests_total 0$' stats
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    stop server
    value() { awk -v name="nbdkit_coalesce_$1" '$1 == name { print $2 }' stats; }
    [ "$(value plugin_requests_total)" -eq "$(reads)" ]
    [ "$(value bytes_total)" -eq $((40 << 20)) ]
    [ "$(value plugin_bytes_total)" -ge "$(value bytes_total)" ]
    [ "$(value hits_total)" -gt 50 ]
    grep -q "coalesce: $(value requests_total) requests for 41943040 bytes became $(reads) of the plugin" server.log
}

@test "over a serial layer it says that nothing is read ahead" {
    start server -r --filter="$COALESCE" --filter=noparallel file disk serialize=connections
    grep -q 'one request at a time, so nothing is read ahead' server.log
    stop server
    start server -r --filter="$COALESCE" --filter=noparallel file disk serialize=all-requests \
        coalesce-priority=0-1M
    grep -q 'coalesce-priority has no effect' server.log
    timeout 60 nbdcopy "$(uri server)" out
    same disk out
}

@test "senseless parameters are refused" {
    try() { timeout 20 nbdkit -U - --filter="$COALESCE" null "$@" --run true; }
    refuses "coalesce-chunk=1K" try coalesce-chunk=1K
    refuses "64K and 32M" try coalesce-chunk=64M
    refuses "coalesce-workers=0" try coalesce-workers=0
    refuses "1 and 64" try coalesce-workers=65
    refuses "coalesce-prefetch=perhaps" try coalesce-prefetch=perhaps
    refuses "coalesce-gap=x" try coalesce-gap=x
    refuses "coalesce-memory" try coalesce-memory=1M
    refuses "OFFSET-END" try coalesce-priority=1M
    refuses "OFFSET-END" try coalesce-priority=0-1M,
    refuses "end after it begins" try coalesce-priority=1M-1M
    refuses "at most half" try coalesce-priority=0-33M
    refuses "coalesce-prefetch=on" try coalesce-priority=0-1M coalesce-prefetch=off
    refuses "coalesce-extents=x" try coalesce-extents=x
    refuses "coalesce-stats" try coalesce-stats=/nonexistent/stats
    refuses "coalesce-nonsense" try coalesce-nonsense=1
}

@test "the example of the manual" {
    nbdkit -r -U - --filter="$COALESCE" --filter=delay file disk rdelay=2ms coalesce-workers=8 \
        --run 'timeout 60 nbdcopy "$uri" out'
    same disk out
}
