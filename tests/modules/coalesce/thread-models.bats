# SPDX-License-Identifier: BSD-3-Clause
#
# Layers below that are not parallel.
load ../../lib
load slow_disk

@test "reads are coalesced over a serial layer too" {
    for serialize in requests all-requests connections; do
        : > requests
        start server -r --filter="$COALESCE" --filter=log --filter=noparallel --filter=delay \
            file disk rdelay=2ms serialize=$serialize logfile=requests
        for mode in "" "--synchronous"; do
            timeout 60 nbdcopy $mode "$(uri server)" out
            same disk out
        done
        reads_fewer_than 200
        # As many at once as the layers below take.
        if [ $serialize != requests ]; then
            awk '/ Read id/ && ++busy > 1 { exit 1 } /\.\.\.Read id/ { --busy }' requests
        fi
        stop server
    done
}

@test "workers open connections of their own over a layer that is serial by connection" {
    start server -r --filter="$COALESCE" --filter=log --filter=noparallel --filter=delay \
        file disk rdelay=2ms serialize=requests logfile=requests coalesce-workers=3
    /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, re, sys, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
disk = open("disk", "rb").read()
for at in range(0, 2 << 20, 65536):
    assert h.pread(65536, at) == disk[at:at + 65536]
# The client's connection is the first.
deadline = time.monotonic() + 60
while True:
    log = open("requests").read()
    connects = re.findall(r"connection=(\d+) Connect ", log)
    readers = set(re.findall(r"connection=(\d+) Read id=", log))
    if len(connects) == 4 and readers - {connects[0]}: break
    assert time.monotonic() < deadline, (connects, readers)
    time.sleep(0.02)
for at in range(2 << 20, 8 << 20, 65536):
    assert h.pread(65536, at) == disk[at:at + 65536]
PY
    stop server
    [ "$(grep -c ' Connect ' requests)" -eq 4 ]
    [ "$(grep -c ' Disconnect ' requests)" -eq 4 ]
}

@test "no read is larger than the layer below takes" {
    # The data begins and ends within blocks.
    printf '%s\n' '1000 8M' '8389608 100000 hole' '8489608 58619256' > map
    start server -r --filter="$COALESCE" --filter=extentlist --filter=blocksize-policy --filter=log --filter=delay \
        file disk rdelay=2ms logfile=requests extentlist=map blocksize-minimum=4096 blocksize-preferred=64K blocksize-maximum=256K blocksize-error-policy=error
    timeout 60 nbdcopy --synchronous --no-extents --request-size=65536 "$(uri server)" out
    same disk out
    must_fail grep 'request rejected' server.log
    /usr/bin/python3 - <<'PY'
import re
counts = [int(n, 16) for n in re.findall(r" Read id=\d+ offset=0x[0-9a-f]+ count=0x([0-9a-f]+)", open("requests").read())]
assert max(counts) == 256 << 10, max(counts)
assert len(counts) < 700, len(counts)  # the client sends 1000 at least
PY
}

@test "reads keep to the blocks of the layer below" {
    # Data that begins and ends within blocks.
    printf '%s\n' '0 1000001' '1000001 100000 hole' '1100001 66008863' > map
    start server -r --filter="$COALESCE" --filter=extentlist --filter=blocksize-policy --filter=delay file disk \
        rdelay=2ms extentlist=map coalesce-gap=0 coalesce-chunk=512K \
        blocksize-minimum=4096 blocksize-preferred=64K blocksize-maximum=1M blocksize-error-policy=error
    /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
disk = open("disk", "rb").read()
step = 3 * 4096
for at in range(0, 3 << 20, step):
    assert h.pread(step, at) == disk[at:at + step], at
PY
    must_fail grep 'request rejected' server.log
}

@test "the log says that nothing is read ahead over a serial layer" {
    start server -r --filter="$COALESCE" --filter=noparallel file disk serialize=connections
    grep -q 'one request at a time, so nothing is read ahead' server.log
    stop server
    start server -r --filter="$COALESCE" --filter=noparallel file disk serialize=all-requests \
        coalesce-priority=0-1M
    grep -q 'coalesce-priority has no effect' server.log
    timeout 60 nbdcopy "$(uri server)" out
    same disk out
}
