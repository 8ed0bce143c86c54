# SPDX-License-Identifier: BSD-3-Clause
#
# Runs that are interrupted, and finished by the same command.
load ../../lib
load apply

@test "after a client is killed the state owes what is missing, and the same command finishes" {
    held_source
    destination_server
    nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)" 3>&- &
    client=$!
    until_true 20 writes 2
    kill -KILL $client
    until_true 20 said dst "error: .*client left before .* bytes are still owed.*run the same command again"
    release
    grep -q '"checkpoint":"c2"' web1.state
    [ "$(owed)" -gt 0 ]
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "over fanout: a client that leaves early has left its destinations too, and they are drained" {
    source_server
    cp --sparse=never base.raw other.raw
    start other file other.raw
    destination_server --filter="$FANOUT" fanout-mode=async fanout-rate=1M fanout-dest="$(uri other)" fanout-name=other
    python '
import os
h.pwrite(disk[6144*K:7168*K], 6144*K)
os._exit(0)'
    until_true 20 said dst 'error: .*left before'
    until_true 20 said dst 'other: [0-9]* bytes written and'
    must_fail gone "$(cat dst.pid)"
    same dst.raw other.raw
}

# was_delivered PID: no SIGTERM is pending (proc(5), ShdPnd).
was_delivered() {
    local pending
    pending=$(awk '/^ShdPnd:/ { print $2 }' "/proc/$1/status")
    [ $((0x$pending >> 14 & 1)) = 0 ]
}

# ends NAME: tells nbdkit to end, and waits until it knows: its first thread, which slept, sleeps again (proc(5)).
ends() {
    local pid slept
    pid=$(cat "$1.pid")
    until_true 60 grep -q '^State:.S' "/proc/$pid/status"
    slept=$(sleeps "$pid")
    kill -TERM "$pid"
    until_true 60 eval '[ "$(sleeps '"$pid"')" -gt '"$slept"' ]'
}
sleeps() { awk '/^voluntary_ctxt_switches:/ { print $2 }' "/proc/$1/status"; }

@test "a client that goes away in the handshake while nbdkit ends: an error says what is owed, and the end is clean" {
    source_server
    cp --sparse=never base.raw dst.raw
    hold
    export REPLICATE_SYNC_DIR=$PWD
    touch apply.gate_waits.hold
    # The first zeroes that complete the copy are held.
    start dst --filter="$APPLY" eval get_size="echo 16M" thread_model="echo parallel" \
        can_flush="exit 0" flush="exit 0" \
        pread="dd if=$PWD/dst.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none" \
        pwrite="[ \$4 -lt 3145728 ] || touch $PWD/zeroing
            $(held_from 3145728)
            dd of=$PWD/dst.raw seek=\$4 oflag=seek_bytes conv=notrunc bs=64K status=none" \
        apply-from="$(uri src)" apply-state="$PWD/web1.state" apply-verify=100
    python '
import os
h.pwrite(disk[512*K:768*K], 512*K)
os._exit(0)'
    until_true 60 test -e zeroing
    leaves_in_handshake dst  # but has to wait for the end of the completion
    until_true 60 test -e apply.gate_waits.held
    release
    ends dst
    rm apply.gate_waits.hold
    wait "$(cat dst.pid)"
    said dst 'error: apply: a client has not left at the end: the copy was not completed: [0-9]* bytes are still owed'
    [ "$(owed)" -gt 0 ]
}

@test "after the server is stopped the state owes what is missing, and the same command finishes" {
    held_source
    destination_server
    nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)" 3>&- &
    client=$!
    until_true 20 writes 2
    kill -TERM "$(cat dst.pid)"
    until_true 20 was_delivered "$(cat dst.pid)"
    release # nbdkit ends when its client has sent one more request
    stop dst
    wait $client || true
    said dst "bytes are still owed"
    [ "$(owed)" -gt 0 ]
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "after the server is killed all is owed that was not flushed, and delta-owed finishes" {
    source_server
    destination_server
    python '
h.pwrite(disk[512 * K:768 * K], 512 * K)
h.zero(1024 * K, 4096 * K)
def owes(offset):
    return any(o <= offset < o + l for o, l in json.load(open("web1.state"))["owed"])
assert owes(512 * K) and owes(4096 * K)
while owes(512 * K):   # the state is saved once a second, or less often if that takes long
    h.flush()
    time.sleep(0.02)
assert not owes(4096 * K)
h.pwrite(disk[6144 * K:6400 * K], 6144 * K)
assert owes(6144 * K)
import os, signal
os.kill(int(open("dst.pid").read()), signal.SIGKILL)
os._exit(0)
'
    stop dst
    [ "$(owed)" -gt 0 ]
    cmp -n 262144 -i 524288 disk.raw dst.raw
    # Nothing has changed since c2: the view shows what is owed.
    stop src
    echo "0 16M hole" > honest
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
        extentlist=honest exportname-list=keep exportdesc=fixed:"$(description c2 c2)" \
        delta-owed=web1.state
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    timeout 60 nbdcopy --destination-is-zero "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "after writes have failed the state owes them, and the same command finishes" {
    source_server
    cp base.raw dst.raw
    start dst --filter="$APPLY" --filter=error file dst.raw error-pwrite=ENOSPC \
        error-pwrite-rate=100% error-file="$PWD/broken" \
        apply-from="$(uri src)" apply-state=web1.state
    touch broken
    # One request at a time: nbdkit 1.32 may abort if a client disconnects while several are under way.
    run timeout 60 nbdcopy -C 1 -R 1 "$(uri src)" "$(uri dst)"
    [ "$status" -ne 0 ]
    [[ "$output" == *"No space left on device"* ]]
    until_true 20 said dst "error: .*bytes are still owed"
    [ "$(owed)" -gt 0 ]
    rm broken
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}
