# SPDX-License-Identifier: BSD-3-Clause
#
# fanout-stats and the totals in the log.
load ../../lib
load fanout

@test "the manual's example: a file and two destinations, with fanout-stats" {
    random_file base.raw 8M
    truncate -s 8M primary.raw
    start dr memory 8M
    start cloud memory 8M
    fanout f file primary.raw fanout-dest="$(uri dr)" fanout-name=dr fanout-concurrency=8 \
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

@test "fanout-stats with nbdkit --run" {
    start a memory 1M
    timeout 60 nbdkit -U - --filter="$FANOUT" memory 1M fanout-dest="$(uri a)" fanout-name=a \
        fanout-stats=stats.prom --run 'qemu-io -f raw -c "write 0 64k" "$uri"'
    grep -q '^nbdkit_fanout_bytes_total{destination="a"} 65536$' stats.prom
}

@test "SIGTERM with a client connected: the counters are written and logged" {
    start a memory 1M
    fanout f memory 1M fanout-dest="$(uri a)" fanout-name=a fanout-stats=stats.prom
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
