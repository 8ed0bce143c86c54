# SPDX-License-Identifier: BSD-3-Clause
#
# What is written, dropped, and completed after the last client.
load ../../lib
load apply

@test "zeroes over the whole disk before the copy do not count as copied" {
    source_server
    destination_server
    python '
for at in range(0, 16384 * K, 8192 * K):
    h.zero(8192 * K, at)
h.flush()
'
    until_true 20 said dst "error: .*client left before .* bytes are still owed"
    [ "$(owed)" -gt 0 ]
    timeout 60 nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    # Once more, after all had arrived: the state owes it before it is zeroed.
    python '
h.zero(16384 * K, 0)
state = json.load(open("web1.state"))
assert any(o <= 600 * K < o + l for o, l in state["owed"]), state
'
    until_true 20 said dst "error: .*offset 524288.* bytes are still owed"
    [ "$(owed)" -gt 0 ]
    timeout 60 nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "requests outside the delta are dropped, to the byte" {
    source_server
    destination_server
    python '
for at in range(0, 16384 * K, 2048 * K):
    h.pwrite(b"x" * (2048 * K), at)
h.flush()
for at in range(0, 16384 * K, 512 * K):
    h.zero(512 * K, at)
h.trim(16384 * K, 0)
h.pwrite(b"y", 16384 * K - 1001 - 512)
'
    stop dst
    /usr/bin/python3 - <<'PY'
base, dst = open("base.raw", "rb").read(), open("dst.raw", "rb").read()
touched = [i for i in range(0, len(base), 512) if base[i:i+512] != dst[i:i+512]]
delta = []
for line in open("honest"):
    offset, length, *kind = line.split()
    if kind != ["hole"]:
        delta.append((int(offset) // 512 * 512, -(-(int(offset) + int(length)) // 512) * 512))
assert touched
for i in touched:
    assert any(start <= i < end for start, end in delta), i
PY
    said dst "bytes outside the delta were dropped"
}

@test "apply-from=FILE: unaligned requests, a larger destination, and zeroes sent as data" {
    /usr/bin/python3 - <<'PY'
import json
entries, last = [], 0
for line in open("honest"):
    offset, length, *kind = line.split()
    type = {"hole": 3, "zero": 2, "hole,zero": 2, "": 0}[kind[0] if kind else ""]
    entries.append({"offset": int(offset), "length": int(length), "type": type})
json.dump(entries, open("map.json", "w"))
PY
    cp base.raw dst.raw
    printf 'beyond the end of the source' >> dst.raw
    cp dst.raw before.raw
    source_server
    start dst --filter="$APPLY" file dst.raw apply-from=map.json apply-state=web1.state
    python '
for at in range(0, 16384 * K, 1000 * K + 3):
    h.pwrite(b"x" * min(1000 * K + 3, 16384 * K + 28 - at), at)
'
    until_true 20 grep -q '"owed":\[\]' web1.state
    stop dst
    /usr/bin/python3 - <<'PY'
import json
before, dst = open("before.raw", "rb").read(), open("dst.raw", "rb").read()
expected = bytearray(before)
for e in json.load(open("map.json")):
    if e["type"] != 3:
        expected[e["offset"]:e["offset"] + e["length"]] = b"x" * e["length"]
assert expected == dst
PY
    cp base.raw dst.raw
    rm web1.state
    start dst --filter="$APPLY" file dst.raw apply-from=map.json apply-state=web1.state
    timeout 60 nbdcopy -S 0 "$(uri src)" "$(uri dst)"
    until_true 20 grep -q '"owed":\[\]' web1.state
    stop dst
    same disk.raw dst.raw
    # Zeroes that belong there and zeroes that a client left out cannot be told apart with a map alone.
    cp base.raw dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from=map.json apply-state=web1.state
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 said dst "error: .*nbdcopy -S 0.* bytes are still owed"
    [ "$(owed)" -gt 0 ]
}

@test "clients that send nothing change nothing and cause no error" {
    source_server
    destination_server
    nbdinfo "$(uri dst)" > info
    grep -q "export-size: 16777216" info
    nbdinfo --list "$(uri dst)" > info
    nbdinfo --map "$(uri dst)" > info
    stop dst
    [ ! -e web1.state ]
    same base.raw dst.raw
    [ -z "$(grep 'error: ' dst.log | grep -v 'error: warning: ')" ]
}

@test "a copy with nothing to send is completed if all that changed is zero" {
    cp base.raw disk.raw
    dd if=/dev/zero of=disk.raw bs=1M seek=1 count=2 conv=notrunc status=none
    printf '%s\n' "0 1M hole" "1M 1M" "2M 1M hole,zero" "3M 13M hole" > honest
    copies nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
}

@test "an empty delta is complete after the first client" {
    cp base.raw disk.raw
    echo "0 16M hole" > honest
    copies nbdcopy "$(uri src)" "$(uri dst)"
}

@test "a source that knows no changes is copied in full" {
    rm disk.raw
    truncate -s 16M disk.raw
    dd if=base.raw of=disk.raw bs=1M count=3 seek=2 conv=notrunc status=none
    start src --filter="$DELTA" file disk.raw
    destination_server
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 grep -q '"owed":\[\]' web1.state
    stop dst
    same disk.raw dst.raw
    grep -q '"checkpoint":"","source":""' web1.state
}

@test "a layer below that cannot zero and whose flush covers one connection only" {
    source_server
    cp base.raw dst.raw
    start dst --filter="$APPLY" --filter=nozero --filter=multi-conn file dst.raw \
        multi-conn-mode=disable apply-from="$(uri src)" apply-state=web1.state
    # Two clients, of which one stays longer than the other.
    /usr/bin/python3 - "$(uri dst)" <<'PY'
import nbd, sys
disk = open("disk.raw", "rb").read()
clients = []
for i in range(2):
    h = nbd.NBD()
    h.connect_uri(sys.argv[1])
    assert not h.can_multi_conn()
    clients.append(h)
step = 512 * 1024  # zeroes are written in pieces of 256K
for at in range(0, len(disk), step):
    h = clients[at // step % 2]
    block = disk[at:at + step]
    if block.count(0) == step:
        h.zero(step, at)
    else:
        h.pwrite(block, at)
for h in clients:
    h.shutdown()
PY
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}
