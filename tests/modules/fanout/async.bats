# SPDX-License-Identifier: BSD-3-Clause
#
# fanout-mode=async, fanout-rate, and the drain at the end.
load ../../lib
load fanout

@test "async: a slow destination does not slow the client; zeroes are sent as zeroes" {
    random_file part.raw 8M
    truncate -s 64M base.raw primary.raw
    dd if=part.raw of=base.raw bs=1M seek=5 conv=notrunc status=none
    # It holds other data where base.raw is zero.
    tr '\0' x < base.raw > slow.raw
    start slow -t 1 --filter=delay --filter=stats file slow.raw delay-write=1 statsfile="$PWD/slow.stats"
    fanout f file primary.raw fanout-mode=async fanout-concurrency=2 fanout-dest="$(uri slow)" fanout-name=slow \
        fanout-stats=stats.prom
    # Request by request it would take minutes: 1024 at 1 s, 2 at a time.
    timeout 60 nbdcopy --flush --no-extents -S 0 --request-size=65536 base.raw "$(uri f)"
    stop f
    same base.raw slow.raw
    stop slow
    # 8 MiB that differ, in pieces while the client still writes: 128 requests of the client, and as many of zeroes beside.
    [ "$(sed -n 's/^write: \([0-9]*\) ops.*/\1/p' slow.stats)" -le 100 ]
    [ "$(metric stats.prom owed_bytes slow)" -eq 0 ]
    [ "$(metric stats.prom copied_bytes_total slow)" -ge 67108864 ]
    grep -E 'slow: behind, [1-9][0-9]* bytes behind; [0-9]+ bytes in [0-9]+ requests, [0-9]+ in flight, 0 retries, [0-9.]+ MB/s' f.log
}

@test "nbdkit --run ends when everything is drained" {
    random_file base.raw 16M
    truncate -s 16M primary.raw slow.raw
    start slow file slow.raw
    timeout 60 nbdkit -U - --filter="$FANOUT" file primary.raw fanout-mode=async fanout-rate=8M \
        fanout-dest="$(uri slow)" fanout-name=slow --run 'nbdcopy --flush base.raw "$uri"'
    same base.raw slow.raw
}

@test "SIGTERM with a client connected and a destination behind: it is drained before the end" {
    random_file base.raw 16M
    truncate -s 16M primary.raw slow.raw
    start slow file slow.raw
    fanout f file primary.raw fanout-mode=async fanout-rate=8M fanout-dest="$(uri slow)" fanout-name=slow
    python '
import os, signal
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(open("base.raw", "rb").read(), 0)
os.kill(int(open("f.pid").read()), signal.SIGTERM)
' "$(uri f)"
    until_true 30 gone "$(cat f.pid)"
    same base.raw slow.raw
}

@test "fanout-rate limits the bytes per second" {
    random_file base.raw 8M
    truncate -s 8M a.raw
    start a file a.raw
    fanout f memory 8M fanout-dest="$(uri a)" fanout-name=a fanout-rate=4M
    python '
import time
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
begin = time.monotonic()
h.pwrite(data, 0)
took = time.monotonic() - begin
assert took > 1.4, took
' "$(uri f)"
    stop f
    same base.raw a.raw
}
