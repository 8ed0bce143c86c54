# SPDX-License-Identifier: BSD-3-Clause
load ../lib

# A disk of 16 MiB, of which base.raw is yesterday's content and disk.raw today's. What changed is in
# places that are aligned to nothing, and part of it has become zero: as data that reads as zeroes,
# and as holes. `honest` is what an honest source says of it.
prepare() {
    random_file base.raw 16M 1
    PYTHONPATH=$SOURCE/tests /usr/bin/python3 -B - <<'PY'
from changed_disk import ChangedDisk, K
disk = ChangedDisk()
disk.data(512 * K, 256 * K)
disk.data(1024 * K + 1, 70001)
disk.zeroes(2048 * K, 300 * K, "")                       # data that reads as zeroes
disk.zeroes(3072 * K + 513, 65536, "hole,zero")          # a hole now, aligned to nothing
disk.zeroes(4096 * K, 1024 * K, "zero")
disk.zeroes(5120 * K, 64 * K, "hole,zero")
disk.data(5184 * K, 64 * K)
disk.data(6144 * K, 1024 * K)                            # data with zeroes within
disk.bytes[6200 * K:6264 * K] = bytes(64 * K)
disk.bytes[6300 * K + 7:6310 * K] = bytes(10 * K - 7)
disk.data(16384 * K - 1000, 1000)                        # the last bytes
disk.save()
PY
}

# The source's server, with the description that a source of ours has.
source_server() {
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c1 c2)" "$@"
}
description() {
    echo '{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":16777216,"mode":"delta","since":"'"$1"'","checkpoint":"'"$2"'"}'
}

# The destination's server over yesterday's content.
destination_server() {
    cp --sparse=never base.raw dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state" "$@"
}

settled() { grep -q '"checkpoint":"c2".*"owed":\[\]' web1.state 2> /dev/null; }

# copies CLIENT...: the client's whole run ends with a destination that equals the source.
copies() {
    source_server
    destination_server
    timeout 60 "$@"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
    grep -q '"source":"test","vm":"vm-1","disk":2000,"size":16777216' web1.state
    must_fail grep -q 'still owed' dst.log
}

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

# python SCRIPT: with h connected to the destination and the files read.
python() {
    /usr/bin/python3 - "$(uri dst)" <<PY
import json, nbd, sys, time
h = nbd.NBD()
h.connect_uri(sys.argv[1])
disk = open("disk.raw", "rb").read()
base = open("base.raw", "rb").read()
K = 1024
$1
h.shutdown()
PY
}

# owed: bytes, as the state says.
owed() { jq '[.owed[][1]] | add // 0' web1.state; }
said() { grep -q "$2" "$1.log"; }

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

# slow_source: takes its time for each read, so that a client can be met midway.
slow_source() {
    start src --filter="$DELTA" --filter=delay --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c1 c2)" rdelay=100ms
}
writes() { [ "$(grep -c 'debug: file: pwrite' dst.log)" -ge "$1" ]; }

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

# --- What is refused.

# refused TEXT PARAMETERS...: the server does not start, and says why.
refused() {
    local text=$1
    shift
    refuses "$text" timeout 30 nbdkit -U - --filter="$APPLY" file dst.raw "$@" --run true
}

@test "parameters that make no sense" {
    cp base.raw dst.raw
    refused "apply-from is required" apply-state=web1.state
    refused "apply-state is required" apply-from=map.json
    refused "apply-from=$PWD/map.json: there is no such file" apply-from=map.json apply-state=web1.state
    refused "cannot connect" apply-from="nbd+unix:///?socket=$PWD/nobody.sock" apply-state=web1.state
    echo '[{"offset":0}]' > map.json
    refused "apply-from=$PWD/map.json is not a map" apply-from=map.json apply-state=web1.state
    refused "apply-state=/nonexistent/web1.state" apply-from=map.json apply-state=/nonexistent/web1.state
    refuses "apply-nonsense" timeout 30 nbdkit -U - --filter="$APPLY" memory 1M apply-from=map.json \
        apply-state=web1.state apply-nonsense=1 --run true
}

@test "a state that is damaged, or another disk's, or owes what the source does not show" {
    source_server
    cp base.raw dst.raw
    args=(apply-from="$(uri src)" apply-state=web1.state)
    echo 'nonsense' > web1.state
    refused "web1.state is not a usable state file" "${args[@]}"
    state() { echo '{"nbdkit-replicate":1,"checkpoint":"'"$1"'","source":"test","vm":"'"$2"'","disk":2000,"size":'"$3"',"owed":['"$4"']}' > web1.state; }
    state c1 vm-2 16777216
    refused "that state is of test vm-2 disk 2000" "${args[@]}"
    state c1 vm-1 16777215
    refused "remove it to start with a full copy" "${args[@]}"
    state c0 vm-1 16777216
    refused 'since "c1", but the destination holds "c0"' "${args[@]}"
    state c1 vm-1 16777216 "[0,4096]"
    refused "delta-owed= and this state file" "${args[@]}"
    same base.raw dst.raw
    state c1 vm-1 16777216 "[524288,4096]"
    timeout 30 nbdkit -U - --filter="$APPLY" file dst.raw "${args[@]}" --run true
}

@test "honest extents in the place of the view" {
    source_server
    cp base.raw dst.raw
    refused "not a delta view" apply-from="$(uri src honest)" apply-state=web1.state
}

@test "a destination that is smaller than the source" {
    source_server
    truncate -s 16776704 dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    must_fail timeout 20 nbdcopy "$(uri src)" "$(uri dst)"
    said dst "error: .*destination has 16776704 bytes.* has 16777216"
    [ ! -e web1.state ]
    [ "$(tr -d '\0' < dst.raw | wc -c)" -eq 0 ]
}

@test "a second server with the same state, and another export" {
    source_server
    destination_server
    refused "another server is using this state file" apply-from="$(uri src)" apply-state=web1.state
    must_fail timeout 20 nbdinfo --size "$(uri dst other)"
    said dst 'there is no export "other"'
    stop dst
    timeout 30 nbdkit -U - --filter="$APPLY" file dst.raw apply-from="$(uri src)" \
        apply-state=web1.state --run true
}

@test "the example of the manual page" {
    source_server
    cp base.raw dst.raw
    timeout 60 nbdkit -U - --filter="$APPLY" file dst.raw apply-from="$(uri src)" \
        apply-state=web1.state --run "nbdcopy --flush '$(uri src)' \"\$uri\""
    until_true 20 settled
    jq -e '.owed == []' web1.state
    same disk.raw dst.raw
}

# A daemon has changed its directory by the time it reads the source.
@test "as a daemon, with the source's socket named by a relative path" {
    source_server
    cp --sparse=never base.raw dst.raw
    nbdkit -U dst.sock -P dst.pid --filter="$APPLY" file dst.raw \
        apply-from='nbd+unix:///?socket=src.sock' apply-state=web1.state 3>&-
    nbdcopy --destination-is-zero --flush "$(uri src)" "$(uri dst)"
    stop dst
    same disk.raw dst.raw
    [ "$(jq '.owed | length' web1.state)" = 0 ]
}

# --- Trust, but check.

# lies OFFSET: a byte that has changed at the source, and that no map shows.
lies() { printf '\377\376' | dd of=disk.raw bs=1 seek="$1" conv=notrunc status=none; }
full_copy_owed() { [ "$(jq -c '[.checkpoint, .owed]' web1.state)" = '["",[[0,16777216]]]' ]; }

@test "apply-verify=100 finds a change that the source left out, wherever it is" {
    for offset in 0 524286 1048575 8388608 16775000; do
        rm -f web1.state
        prepare
        lies $offset
        source_server
        destination_server apply-verify=100
        timeout 60 nbdcopy "$(uri src)" "$(uri dst)" || true
        until_true 20 full_copy_owed
        stop dst
        said dst "error: the destination differs from the source at offset $offset,"
        stop src
    done
    # The same command again, of a source that takes the empty checkpoint for what it is.
    start src --filter="$DELTA" --filter=exportname file disk.raw exportname-list=keep \
        exportdesc=fixed:'{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":16777216,"mode":"full","checkpoint":"c2"}' \
        delta-owed=web1.state
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state apply-verify=100
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

@test "apply-verify tells a client that is still there" {
    lies 8388608
    source_server
    destination_server apply-verify=100
    python '
deadline = time.monotonic() + 20
while "differs from the source" not in open("dst.log").read():
    assert time.monotonic() < deadline
    time.sleep(0.02)
def fails(f, *arguments):
    try:
        f(*arguments)
    except nbd.Error as e:
        return e.errno == "EIO"
    return False
assert fails(h.flush)
assert fails(h.pwrite, b"x" * 512, 524288)
assert fails(h.zero, 512, 524288)
assert fails(h.trim, 512, 524288)
assert len(h.pread(512, 0)) == 512
'
    full_copy_owed
    # Nobody is let in any more.
    must_fail timeout 20 nbdinfo --size "$(uri dst)"
    stop dst
    same base.raw dst.raw
}

@test "apply-verify of an honest source: what was compared is told, nothing else" {
    copies_verified() {
        rm -f web1.state
        source_server
        cp --sparse=never base.raw dst.raw
        start dst --filter="$APPLY" $below file dst.raw apply-from="$(uri src)" apply-state=web1.state "$@"
        timeout 60 nbdcopy --flush "$(uri src)" "$(uri dst)"
        until_true 20 settled
        stop dst
        same disk.raw dst.raw
        said dst "blocks outside the delta were compared with the source: .* all equal"
        [ -z "$(grep 'error: ' dst.log | grep -v 'error: warning: ')" ]
        stop src
    }
    copies_verified apply-verify=100 apply-stats=stats
    # All that is not in the view's delta.
    outside=$(awk '$2 && $3 == "hole" { sum += $2 } END { print sum }' honest)
    compared=$(awk '$1 == "nbdkit_apply_compared_bytes_total" { print $2 }' stats)
    [ "$compared" -gt $((outside - 40 * 512)) ] && [ "$compared" -le "$outside" ]
    below="--filter=noparallel" copies_verified apply-verify=100
    copies_verified apply-verify=20%
}

@test "apply-verify finds a destination that is not what the state says" {
    source_server
    destination_server apply-verify=100
    printf 'xx' | dd of=dst.raw bs=1 seek=9000000 conv=notrunc status=none
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)" || true
    until_true 20 full_copy_owed
    said dst "offset 9000000, .*not the one that apply-state=.* was written for"
}

@test "apply-verify wants a source that can be read, and a percentage" {
    cp base.raw dst.raw
    echo '[{"offset":0,"length":16777216,"type":0}]' > map.json
    refused "apply-verify wants the source's bytes" apply-from=map.json apply-state=web1.state apply-verify=5
    for value in 0 101 -1 x "" 5x; do
        refused "apply-verify=$value: must be a percentage" apply-from=map.json apply-state=web1.state apply-verify=$value
    done
    # A server with no export of that name (its only one is called otherwise).
    start src --filter=exportname file disk.raw exportname-strict=true exportname=
    refused "honest" apply-from="$(uri src)" apply-state=web1.state apply-verify=5
}

# --- Whose state it is.

@test "a state of another destination is refused, with how to start anew" {
    source_server
    destination_server apply-destination=web1-dr
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    [ "$(jq -r .destination web1.state)" = web1-dr ]
    args=(apply-from="$(uri src)" apply-state=web1.state)
    refused 'that state is of the destination "web1-dr", but apply-destination=web1-cloud' "${args[@]}" apply-destination=web1-cloud
    refused 'remove it to start with a full copy' "${args[@]}" apply-destination=web1-cloud
    refused 'that state is of the destination "web1-dr", but apply-destination= was not given' "${args[@]}"
    refused 'apply-destination=: must be a name' "${args[@]}" apply-destination=
    # Tomorrow's file is another one; its name is the same.
    cp dst.raw tomorrow.raw
    timeout 30 nbdkit -U - --filter="$APPLY" file tomorrow.raw "${args[@]}" apply-destination=web1-dr --run true
}

# --- What is told.

@test "progress: a line every two seconds, and the statistics" {
    source_server
    destination_server apply-stats=stats
    grep -q '^nbdkit_apply_covered_bytes 0$' stats
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)
deadline = time.monotonic() + 20
def until(name, text):
    while text not in open(name).read():
        assert time.monotonic() < deadline, open(name).read()[-2000:]
        time.sleep(0.05)
until("dst.log", "apply: 262144 of ")
until("stats", "nbdkit_apply_covered_bytes 262144\n")
h.flush()
'
    stop dst
    delta=$(awk '$1 == "nbdkit_apply_delta_bytes" { print $2 }' stats)
    owed=$(awk '$1 == "nbdkit_apply_owed_bytes" { print $2 }' stats)
    [ "$owed" = "$(owed)" ] && [ "$owed" -gt 0 ] && [ "$owed" -lt "$delta" ]
    said dst "apply: 262144 of $delta bytes of the delta are covered, $delta bytes are owed; 1 clients"
    refused "apply-stats" apply-from="$(uri src)" apply-state=web1.state apply-stats=/nonexistent/stats
}

# --- A source that is slow or gone.

@test "a source that does not answer at the start" {
    start src --filter="$DELTA" --filter=delay file disk.raw delay-extents=60
    cp base.raw dst.raw
    start_time=$SECONDS
    refused "cannot read the map" apply-from="$(uri src)" apply-state=web1.state apply-timeout=0.5
    refused "second time" apply-from="$(uri src)" apply-state=web1.state apply-timeout=0.5
    [ $((SECONDS - start_time)) -lt 20 ]
    [ ! -e web1.state ]
    stop src KILL
    refused "apply-timeout=0: must be a number of seconds" apply-from=x apply-state=y apply-timeout=0
    refused "apply-connect-timeout=x: must be a number of seconds" apply-from=x apply-state=y apply-connect-timeout=x
}

@test "a source that does not answer when the client has gone: an error in time, and a true state" {
    # One thread a connection: with more, nbdkit 1.32 itself may abort when a client goes while another
    # thread is about to answer it, and then the source is gone and not silent.
    start src -t 1 --filter="$DELTA" --filter=exportname --filter=extentlist --filter=delay file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c1 c2)" rdelay=60
    destination_server apply-timeout=0.5
    python 'h.pwrite(disk[512 * K:768 * K], 512 * K)'
    until_true 20 said dst "error: .*apply-from=.*cannot read at offset .*Connection timed out.*second time.* bytes are still owed"
    jq -e '[.owed[] | select(.[0] <= 524288 and .[0] + .[1] > 524288)] == []' web1.state
    [ "$(owed)" -gt 0 ]
    stop dst
    stop src KILL
    source_server
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 settled
    stop dst
    same disk.raw dst.raw
}

@test "a source that accepts connections and says nothing" {
    /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind("mute.sock")
s.listen(16)
open("mute.ready", "w").write("x")
time.sleep(60)' 3>&- &
    echo $! > mute.pid
    until_true 10 [ -s mute.ready ]
    cp base.raw dst.raw
    start_time=$SECONDS
    refused "no greeting within 0.5 s" apply-from="$(uri mute)" apply-state=web1.state apply-connect-timeout=0.5
    [ $((SECONDS - start_time)) -lt 10 ]
}
