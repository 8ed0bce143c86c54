# SPDX-License-Identifier: BSD-3-Clause
#
# Errors of whole jobs: the message says what to do, no snapshot is left behind, and the same command, run again,
# completes the copy. What a single module shows is in tests/modules, random instants are in ../durability.
load ../job

# source_refused TEXT [ARGUMENTS...]: the source server does not start. It prints one error, which contains TEXT, and
# leaves no snapshot.
source_refused() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -f -U source.sock "$VSPHERE" cafile="$CA" "$@"
    [ "$(grep -c 'error:' <<< "$output")" = 1 ]
    if [ -e vcenter.pid ]; then [ "$(snapshots)" = 0 ]; fi
}

# in_the_middle: starts a full copy to mon.qcow2 by the process $client, of a source that is held, and returns when
# something has been written.
in_the_middle() {
    vcenter
    hold_source
    destinations
    source_server "${PIECEWISE[@]}"
    target_server mon.qcow2 size="$SIZE"
    nbdcopy --flush --request-size=65536 -C 1 -R 1 "$(uri source)" "$(uri target)" 3>&- &
    client=$!
    until_true 60 grep -q pwrite target.log
}

# finished: after the guest has written, the same command completes the copy.
finished() {
    guest_writes
    replicate mon.qcow2 size="$SIZE" -- nbdcopy
    all_equal mon.qcow2
}

@test "a wrong password is refused, and is not shown" {
    vcenter
    printf letmein7 > wrong.pass
    source_refused "password" server="$SERVER" user=$USER_NAME password=+wrong.pass vm=/DC0/vm/web1
    [[ "$output" != *letmein7* ]]
}

@test "an unknown parameter is refused before a snapshot is taken" {
    vcenter
    refuses "colour" nbdkit -f -U s.sock "$VSPHERE" server="$SERVER" user=$USER_NAME \
        password=+vc.pass vm=/DC0/vm/web1 colour=red
    refuses "colour" nbdkit -f -U s.sock --filter="$APPLY" --filter="$FANOUT" "$QCOW2" file=x.qcow2 \
        size=1M apply-from=x apply-state=y colour=red
    [ "$(snapshots)" = 0 ]
}

@test "a destination that is too small is refused before anything is written" {
    vcenter
    destinations
    stop dr
    truncate -s 1M dr.raw
    start dr file dr.raw
    source_server
    # The error is reported at start-up or when the client connects; in both cases it names the destination.
    run bash -c "$(declare -f); $(declare -p BUILD SOURCE APPLY FANOUT QCOW2 SIZE); cd '$PWD'; target_server mon.qcow2 size=$SIZE && copy nbdcopy"
    [ "$status" -ne 0 ]
    grep -h 'error:.*dr' target.log
    stop target
    [ "$(qemu-img map --output=json -f raw "$(uri cloud)" | jq '[.[] | select(.data)] | length')" = 0 ]
    stop source
    [ "$(snapshots)" = 0 ]
}

@test "the source server is killed: the next run removes its snapshot" {
    in_the_middle
    stop source KILL
    must_fail wait $client
    release_source
    stop target
    [ "$(snapshots)" = 1 ]
    finished
}

@test "after a reset of CBT the whole disk is copied, with a warning" {
    vcenter
    destinations
    replicate mon.qcow2 size="$SIZE" -- nbdcopy
    control reset
    guest_writes
    replicate tue.qcow2 backing=mon.qcow2 backing-format=qcow2 -- nbdcopy
    grep -q 'warning:' source.log
    all_equal tue.qcow2
}
