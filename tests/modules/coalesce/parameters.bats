# SPDX-License-Identifier: BSD-3-Clause
#
# Parameters, counters, and the example of the manual page.
load ../../lib
load slow_disk

@test "coalesce-priority reads its ranges first, for any client" {
    start server -r --filter="$COALESCE" --filter=log --filter=delay file disk rdelay=2ms \
        logfile=requests coalesce-priority=40M-42M,0-64K
    timeout 600 /usr/bin/python3 - "$(uri server)" <<'PY'
import nbd, sys, time
h = nbd.NBD(); h.connect_uri(sys.argv[1])
deadline = time.monotonic() + 300
while open("requests").read().count("...Read id") < 2:
    assert time.monotonic() < deadline
    time.sleep(0.02)
disk = open("disk", "rb").read()
for at in (41 << 20, 0, 40 << 20, 5000):
    assert h.pread(4096, at) == disk[at:at+4096]
PY
    stop server
    grep ' Read id' requests | sed 's/.*\(offset=[^ ]* count=[^ ]*\).*/\1/' | sort > read
    printf 'offset=0x0 count=0x10000\noffset=0x2800000 count=0x200000\n' | diff - read
}

@test "the counters are in a file, and in one line of the log at the end" {
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

@test "invalid parameters are refused" {
    try() { timeout 60 nbdkit -U - --filter="$COALESCE" null "$@" --run true; }
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

@test "the example of the manual page" {
    nbdkit -r -U - --filter="$COALESCE" --filter=delay file disk rdelay=2ms coalesce-workers=8 \
        --run 'timeout 60 nbdcopy "$uri" out'
    same disk out
}
