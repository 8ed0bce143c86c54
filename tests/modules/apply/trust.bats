# SPDX-License-Identifier: BSD-3-Clause
load ../../lib
load apply

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
