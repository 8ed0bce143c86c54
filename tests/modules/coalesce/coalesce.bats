# SPDX-License-Identifier: BSD-3-Clause
#
# What clients read, and what is read for it.
load ../../lib
load slow_disk

@test "each client gets the same bytes by few large reads" {
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

@test "a client that sends one read at a time is read ahead of in parallel" {
    # So slow that they overlap however busy the machine is.
    start server -r --filter="$COALESCE" --filter=log --filter=delay file disk rdelay=30ms \
        logfile=requests coalesce-workers=8 coalesce-chunk=1M
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    # Several at a time: a read begins before the one before it has ended.
    awk '/ Read id/ { if (++busy > most) most = busy } /\.\.\.Read id/ { --busy } END { exit most < 3 }' requests
}

@test "holes of unknown content are not read ahead, but can be read" {
    printf '%s\n' '0 8M' '8M 48M hole' '56M 8M' > map
    start server -r --filter="$DELTA" --filter="$COALESCE" --filter=log --filter=extentlist \
        --filter=delay file disk rdelay=2ms extentlist=map logfile=requests
    timeout 60 nbdcopy --synchronous "$(uri server)" null:
    reads_fewer_than 24
    timeout 60 nbdcopy --no-extents "$(uri server)" out
    same disk out
}

@test "with coalesce-prefetch=off a chunk is still one read" {
    slow coalesce-prefetch=off
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    same disk out
    reads_fewer_than 60
}

@test "several exports are served at the same time" {
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

@test "memory stays bounded" {
    random_file big 96M
    start server -r --filter="$COALESCE" --filter=delay file big rdelay=2ms coalesce-memory=16M
    timeout 60 nbdcopy --request-size=65536 "$(uri server)" null:
    peak=$(awk '/VmHWM/ { print $2 }' "/proc/$(cat server.pid)/status")
    echo "peak: $peak KiB"
    [ "$peak" -lt 65536 ]
}
