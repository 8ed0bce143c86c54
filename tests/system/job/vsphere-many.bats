# SPDX-License-Identifier: BSD-3-Clause
#
# Many replications: one after the other, each continuing where the previous one ended, and several at once.
load ../job

MEMORY=$((96 * 1024)) # KiB: the limit for each server

# below_limit NAME...: the peak memory of each of these servers is below MEMORY.
below_limit() {
    local name peak
    for name in "$@"; do
        peak=$(awk '/^VmHWM:/ {print $2}' "/proc/$(cat "$name.pid")/status")
        echo "$name: $peak KiB"
        [ "$peak" -lt $MEMORY ] || return 1
    done
}

# After each test, also one that has failed, no snapshot exists.
teardown() {
    local pid_file status=0
    for pid_file in *.pid; do
        if [ -e "$pid_file" ] && [ "$pid_file" != vcenter.pid ]; then stop "${pid_file%.pid}"; fi
    done
    if [ -e vcenter.pid ]; then
        [ "$(snapshots)" = 0 ] || status=1
        stop vcenter
    fi
    return $status
}

@test "five replications in a row: one whole, four increments" {
    vcenter --task-ms 20
    destinations
    local run image=() before
    for run in 0 1 2 3 4; do
        if [ "$run" = 0 ]; then
            image=(0.qcow2 size="$SIZE")
        else
            before=$((run - 1))
            guest_writes "$run" > said
            image=("$run.qcow2" backing="$before.qcow2" backing-format=qcow2)
        fi
        source_server
        target_server "${image[@]}"
        copy nbdcopy
        below_limit source target
        stop target
        stop source
        all_equal "$run.qcow2"
        [ "$(control state | jq .sessions)" = 0 ]
    done
    # Each is an increment, not a full copy.
    for run in 1 2 3 4; do
        [ "$(qemu-img map --output=json -f qcow2 "$run.qcow2" |
            jq '[.[] | select(.depth == 0 and .data) | .length] | add')" -lt $((16 << 20)) ]
    done
}

# one_of_five N PARAMETERS...: one run of the replication of machine N. PARAMETERS: of qcow2.
one_of_five() {
    local n=$1 status=0
    shift
    start "source$n" --filter="$DELTA" --filter="$COALESCE" "$VSPHERE" server="$SERVER" \
        user=$USER_NAME password=+vc.pass cafile="$CA" vm="moref=vm-$n" disk=2000 \
        since=@"$n.state" delta-owed="$n.state" &&
        start "target$n" --filter="$APPLY" "$QCOW2" "$@" \
            apply-from="$(uri "source$n")" apply-state="$n.state" &&
        timeout 600 nbdcopy --flush "$(uri "source$n")" "$(uri "target$n")" &&
        below_limit "source$n" "target$n" > "memory$n" || status=$?
    stop "target$n"
    stop "source$n"
    return $status
}

# five ROUND: runs the replications of five machines at the same time. Each image equals its disk.
five() {
    local n pids=()
    for n in 1 2 3 4 5; do
        local image=("file=$1.$n.qcow2" size="$SIZE")
        if [ "$1" -gt 1 ]; then
            image=("file=$1.$n.qcow2" backing="$(($1 - 1)).$n.qcow2" backing-format=qcow2)
        fi
        one_of_five "$n" "${image[@]}" > "$n.out" 2>&1 3>&- &
        pids[n]=$!
    done
    for n in 1 2 3 4 5; do
        wait "${pids[n]}" || { cat "$n.out" "memory$n"; return 1; }
        cat "memory$n"
        qemu-img compare -f raw -F qcow2 "live$n.img" "$1.$n.qcow2"
        sound "$1.$n.qcow2"
        [ "$(jq '.owed | length' "$n.state")" = 0 ]
    done
    [ "$(snapshots)" = 0 ]
    [ "$(control state | jq .sessions)" = 0 ]
}

@test "five machines at once, three times" {
    local n machines=() SIZE=$((160 << 20)) # more than MEMORY
    truncate -s "$SIZE" live.img # the disk of the machine that vcenter() adds; it is not copied
    for n in 1 2 3 4 5; do
        truncate -s "$SIZE" "live$n.img"
        random_file part 120M "$n"
        dd if=part of="live$n.img" bs=1M seek=$((n * 5)) conv=notrunc status=none
        machines+=(--vm "/DC0/vm/many/many$n=vm-$n" --disk "2000=$PWD/live$n.img")
    done
    vcenter --task-ms 50 "${machines[@]}"
    five 1
    for n in 1 2 3 4 5; do
        random_file news 300K $((n + 10))
        control "write?vm=vm-$n&disk=2000&offset=$((n * 1000000 + 77))" --data-binary @news > said
        control "unmap?vm=vm-$n&disk=2000&offset=$((n * 5 << 20))&length=1048576" > said
    done
    five 2
    five 3 # nothing has changed
    for n in 1 2 3 4 5; do
        [ "$(control state | jq ".vms.\"vm-$n\".most_snapshots")" = 1 ]
    done
}
