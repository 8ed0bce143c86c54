# SPDX-License-Identifier: BSD-3-Clause
#
# transport=vddk: the helper, or nbdkit, is killed or stopped during a copy.
load ../../lib
load ../../vcenter/vcenter
load vsphere
load one-disk
load vddk

# read_by_all: VDDK has the 16 requests of the copy, so nbdkit is not sending one.
read_by_all() {
    local rest
    read -r rest _ < standin/faults/ReadAsync
    [ "$rest" -le 984 ]
}

@test "the helper is killed during a copy, which succeeds with the next one" {
    vc
    standin
    serve "${VDDK[@]}"
    echo '100000000 2 1' > standin/cost # a request takes 100 seconds: none ends before the helper is killed
    wrong ReadAsync 1000 0 error 1      # counts down
    read_in_background
    until_true 30 read_by_all
    rm standin/cost # the next helper is quick
    kill -KILL "$(helper)"
    wait $COPY
    same one.img out.img
    grep -q 'the VDDK helper process was killed by signal 9 (Killed); retry 1 of 3' src.log
    # The next one has ended the access of the one that died before it asked for its own.
    [ "$(calls InitEx)" = 3 ]
    stop src
    orderly
    clean
}

@test "nbdkit is killed: the helper closes the disk and ends the access" {
    vc
    standin
    echo '100000 20 4' > standin/cost
    serve "${VDDK[@]}" since=@state
    read_in_background
    local pid
    pid=$(helper)
    [ -n "$(ls standin/access)" ]
    stop src KILL
    wait $COPY || true
    until_true 30 gone "$pid"
    orderly
    [ "$(grep "^$pid" standin/log | tail -4 | cut -d' ' -f2)" = "Close
Disconnect
EndAccess
Exit" ]
    # Both killed: the next run ends the access, and removes the snapshot.
    rm standin/cost
    serve "${VDDK[@]}" since=@state
    nbdinfo "$(uri src)" > /dev/null
    nbdcopy "$(uri src)" out.img
    pid=$(helper)
    kill -STOP "$pid"
    stop src KILL
    kill -KILL "$pid"
    [ -n "$(ls standin/access)" ]
    once "${VDDK[@]}" since=@state -- 'nbdcopy "$uri" out2.img'
    same one.img out2.img
    orderly
    [ "$(of "len(v['snapshots'])")" = 0 ]
}

@test "a run after a killed one waits until the helper of that one has ended the access" {
    vc
    standin
    serve "${VDDK[@]}" since=@state
    nbdcopy "$(uri src)" out.img
    local pid
    pid=$(helper)
    kill -STOP "$pid"
    stop src KILL
    once "${VDDK[@]}" since=@state -- 'nbdcopy "$uri" out2.img' 3>&- &
    local run=$!
    until_true 30 eval '[ "$(calls InitEx)" = 3 ]'
    [ "$(calls PrepareForAccess)" = 2 ]
    kill -CONT "$pid"
    wait $run
    same one.img out2.img
    awk -v old="$pid" '$2 == "PrepareForAccess" { ++prepared }
        $1 == old && $2 == "EndAccess" { at = prepared } END { exit at != 2 }' standin/log
    orderly
}

@test "SIGTERM during a copy closes the disk before the snapshot is removed" {
    vc
    standin
    echo '50000 20 4' > standin/cost
    serve "${VDDK[@]}"
    read_in_background
    stop src
    wait $COPY || true
    clean
    orderly
}

# ended_soon: SIGTERM to the start that is stuck is heeded within 2 s (and what the machine's load adds).
ended_soon() {
    kill -TERM "$(cat early.pid)"
    until_true 6 gone "$(cat early.pid)" || { cat early.log; return 1; }
    until_true 6 gone "$(helper)"
    clean
}

@test "SIGTERM while VDDK is stuck at the start: heeded at once, and the snapshot is removed" {
    local call
    vc
    standin
    for call in InitEx PrepareForAccess ConnectEx ReadAsync QueryAllocatedBlocks; do
        rm -f standin/faults/*
        wrong $call 0 1 hang
        early "${VDDK[@]}"
        until_true 20 grep -q "fault $call hang" standin/log
        ended_soon
        grep -q 'nbdkit: error: told to end by .* before it was ready' early.log
        : > standin/log
    done
    # The start is over, and the helper is about to end: nbdkit ends as it does when it serves.
    rm -f standin/faults/*
    wrong Close 0 1 hang
    early "${VDDK[@]}"
    until_true 20 grep -q "fault Close hang" standin/log
    ended_soon
}

@test "VDDK does not close the disk: it is killed within end-timeout=, and the snapshot is removed" {
    vc
    standin
    serve "${VDDK[@]}" end-timeout=12
    nbdinfo "$(uri src)" > /dev/null
    nbdcopy "$(uri src)" null:
    wrong Close 0 1 hang
    stop src
    grep -q 'did not close the disk within 4000 ms and is killed' src.log
    clean
}

@test "SIGTERM while a read waits for VDDK that hangs: the read fails at once, and the snapshot is removed" {
    vc
    standin
    serve "${VDDK[@]}" timeout=600
    wrong ReadAsync 0 1 hang
    a_read_ends_with_the_server grep -q 'fault ReadAsync hang' standin/log
    until_true 20 gone "$(helper)"
    must_fail grep VIOLATION standin/log
}
