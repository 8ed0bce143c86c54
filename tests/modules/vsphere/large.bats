# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. A map of a million areas.
load ../../lib
load ../../vcenter/vcenter
load vsphere

prepare() {
    truncate -s 131072000000 one.img
    truncate -s 1M two.img
    echo s3cret > pass
}

# peak NAME: the peak memory of a server, in KiB.
peak() { awk '/^VmHWM:/ {print $2}' "/proc/$(cat "$1.pid")/status"; }

@test "a delta of a million areas takes little memory, at any offset" {
    vc --page 256M
    once disk=2000 -- 'nbdinfo --json "$uri"' | /usr/bin/python3 -c '
import json, sys
print(json.loads(json.load(sys.stdin)["exports"][0]["description"])["checkpoint"])' > id
    control vc 'touch?disk=2000&count=1000000'
    serve disk=2000 since="$(cat id)"
    grep -q 'changed 65536000000, 2000000 extents' src.log
    echo "$(peak src) KiB at most"
    [ "$(peak src)" -lt $((96 * 1024)) ]
    /usr/bin/python3 - "$(uri src)" <<'PY'
import nbd, random, statistics, sys, time
client = nbd.NBD()
client.add_meta_context("base:allocation")
client.connect_uri(sys.argv[1])
source, taken = random.Random(1), {"begin": [], "random": []}
for n in range(4000):
    # At the begin of the disk a search from there is quick; elsewhere it must not take longer.
    where = ("begin", "random")[n % 2]
    block = source.randrange(2000000 if where == "random" else 100)
    found, started = [], time.monotonic()
    client.block_status(65536 * 3, block * 65536, lambda context, offset, entries, error: found.extend(entries))
    taken[where].append(time.monotonic() - started)
    wanted = [0, 1] if block % 2 == 0 else [1, 0]
    assert found[1:4:2][:len(found) // 2] == wanted[:len(found) // 2], (block, found)
medians = {where: statistics.median(times) for where, times in taken.items()}
print(f"block status requests: {medians}")
assert medians["random"] < 10 * medians["begin"], medians
PY
    [ "$(nbdinfo --map --totals "$(uri src)" | awk '$3 == 0 {print $1}')" = 65536000000 ]
    [ "$(peak src)" -lt $((128 * 1024)) ]
}
