# SPDX-License-Identifier: BSD-3-Clause
load ../../lib
load apply

@test "nbdcopy" {
    copies nbdcopy "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --destination-is-zero" {
    copies nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -S 0" {
    copies nbdcopy -S 0 "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -S 0 --destination-is-zero --flush" {
    copies nbdcopy -S 0 --destination-is-zero --flush "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --allocated" {
    copies nbdcopy --allocated "$(uri src)" "$(uri dst)"
}
@test "nbdcopy -C 1 -R 1" {
    copies nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)"
}
@test "nbdcopy --synchronous" {
    copies nbdcopy --synchronous "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n" {
    copies qemu-img convert -n -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n --target-is-zero" {
    copies qemu-img convert -n --target-is-zero -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n -W -m 16" {
    copies qemu-img convert -n -W -m 16 -f raw -O raw "$(uri src)" "$(uri dst)"
}
@test "qemu-img convert -n --target-is-zero -W -m 16" {
    copies qemu-img convert -n --target-is-zero -W -m 16 -f raw -O raw "$(uri src)" "$(uri dst)"
}

# --- What stock clients do not do every day.

@test "a client that clears the whole disk first" {
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
    until_true 20 settled
    # And once more, when all had arrived: what it clears is owed again before it is cleared.
    python '
h.zero(16384 * K, 0)
state = json.load(open("web1.state"))
assert any(o <= 600 * K < o + l for o, l in state["owed"]), state
'
    until_true 20 said dst "error: .*offset 524288.* bytes are still owed"
    [ "$(owed)" -gt 0 ]
    timeout 60 nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

@test "what is outside the delta stays as it was, whatever a client does" {
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

@test "a map in a file, bytes that begin anywhere, a destination that is larger" {
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
    # Without the source at hand nobody can tell a zero that is meant from one that is not.
    cp base.raw dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from=map.json apply-state=web1.state
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 said dst "error: .*nbdcopy -S 0.* bytes are still owed"
    [ "$(owed)" -gt 0 ]
}

@test "tools that only look change nothing and cause no error" {
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

@test "a client that has nothing to send, for all that changed is zero" {
    cp base.raw disk.raw
    dd if=/dev/zero of=disk.raw bs=1M seek=1 count=2 conv=notrunc status=none
    printf '%s\n' "0 1M hole" "1M 1M" "2M 1M hole,zero" "3M 13M hole" > honest
    copies nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
}

@test "nothing has changed at all" {
    cp base.raw disk.raw
    echo "0 16M hole" > honest
    copies nbdcopy "$(uri src)" "$(uri dst)"
}

@test "a full copy of a source that knows no changes" {
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

@test "a layer below that cannot zero, and one whose flush covers one connection only" {
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
step = 64 * 1024
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
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

# --- Faults.

@test "a client killed midway leaves a true state, and the same command finishes" {
    slow_source
    destination_server
    nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)" 3>&- &
    client=$!
    until_true 20 writes 2
    kill -KILL $client
    until_true 20 said dst "error: .*client left before .* bytes are still owed.*run the same command again"
    grep -q '"checkpoint":"c2"' web1.state
    [ "$(owed)" -gt 0 ]
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

@test "the server stopped midway leaves a true state" {
    slow_source
    destination_server
    timeout 60 nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)" 3>&- &
    until_true 20 writes 2
    stop dst
    wait $! || true
    said dst "bytes are still owed"
    [ "$(owed)" -gt 0 ]
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

@test "the server killed midway: only what was flushed is not owed, delta-owed finishes" {
    source_server
    destination_server
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)
h.zero(1024 * K, 4096 * K)
def owes(offset):
    return any(o <= offset < o + l for o, l in json.load(open("web1.state"))["owed"])
assert owes(512 * K) and owes(4096 * K)
for attempt in range(500):
    h.flush()
    if not owes(512 * K):
        break
    time.sleep(0.02)
assert not owes(512 * K) and not owes(4096 * K)
h.pwrite(disk[6144 * K:6400 * K], 6144 * K)
assert owes(6144 * K)
import os, signal
os.kill(int(open("dst.pid").read()), signal.SIGKILL)
os._exit(0)
'
    stop dst
    [ "$(owed)" -gt 0 ]
    cmp -n 262144 -i 524288 disk.raw dst.raw
    # Since c2 nothing has changed: what the view shows is what is owed.
    stop src
    echo "0 16M hole" > honest
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c2 c2)" \
        delta-owed=web1.state
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    timeout 60 nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

@test "the source is gone at the end" {
    source_server
    destination_server
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)
import os, signal
os.kill(int(open("src.pid").read()), signal.SIGKILL)
'
    until_true 20 said dst "error: .*apply-from=.* bytes are still owed"
    # What needs no source is done all the same.
    jq -e '[.owed[] | select(.[0] <= 524288 and .[0] + .[1] > 524288)] == []' web1.state
    jq -e '[.owed[] | select(.[0] <= 4194304 and .[0] + .[1] > 4194304)] == []' web1.state
    [ "$(owed)" -gt 0 ]
    stop src
    source_server
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

@test "the source is another one at the end" {
    source_server
    destination_server
    stop src
    echo "0 16M" > honest
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c2 c3)"
    python 'h.pwrite(disk[512 * K:768 * K], 512 * K)'
    until_true 20 said dst "error: .*source is not the one that was there at the start"
    grep -q '"checkpoint":"c2"' web1.state
}

@test "a destination whose writes fail keeps what it owes" {
    source_server
    cp base.raw dst.raw
    start dst --filter="$APPLY" --filter=error file dst.raw error-pwrite=ENOSPC \
        error-pwrite-rate=100% error-file="$PWD/broken" \
        apply-from="$(uri src)" apply-state=web1.state
    touch broken
    # One request at a time: nbdkit 1.32 may abort when a client goes with many under way.
    run timeout 60 nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)"
    [ "$status" -ne 0 ]
    [[ "$output" == *"No space left on device"* ]]
    until_true 20 said dst "error: .*bytes are still owed"
    [ "$(owed)" -gt 0 ]
    rm broken
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}
