# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin and change tracking that cannot tell: each row of the catalogue of faults.
load ../../lib
load ../../vcenter/vcenter
load vsphere

CBT=vim.hostd.vmsvc.cbt

# ordered FAULT [COUNT [AFTER]]: QueryChangedDiskAreas fails so.
ordered() { control vc "fault?where=QueryChangedDiskAreas&count=${2:-1}&after=${3:-0}&kind=$1"; }

# a_checkpoint: id has the changeId of a full copy's snapshot.
a_checkpoint() {
    once disk=2001 -- 'nbdinfo --json "$uri"' | /usr/bin/python3 -c '
import json, sys
print(json.loads(json.load(sys.stdin)["exports"][0]["description"])["checkpoint"])' > id
}

# full_or_fail FAULT COUNT TEXT: of the query of changes. on-reset=full serves the whole disk and says
# why; on-reset=fail does not start.
full_or_fail() {
    ordered "$1" "$2"
    once disk=2001 since="$(cat id)" on-reset=full -- 'nbdinfo "$uri"; nbdinfo --map "$uri"' > full 2> warning
    grep -q '"mode":"full"' full
    grep -q ' 1048576 *0 ' full
    grep -q 'warning: the whole disk 2001 is in the delta: ' warning
    grep -q "$3" warning
    ordered "$1" "$2"
    fails 'on-reset=full copies all' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)" on-reset=fail
    [[ "$output" == *"$3"* ]]
}

@test "a FileFault of change tracking, key by key: full or fail" {
    vc
    a_checkpoint
    for key in noTrack noEpoch cannotGetChanges; do
        full_or_fail "FileFault&key=$CBT.$key" 1 'FileFault'
    done
    full_or_fail "FileFault&key=$CBT.cannotGetChanges&message=the%20change%20file%20is%20corrupt" 1 \
        'turn changed block tracking off and on in vSphere'
}

@test "a FileFault of another kind is tried again; full or fail when it stays" {
    vc
    a_checkpoint
    ordered 'FileFault&key=vim.file.locked' 3
    once disk=2001 since="$(cat id)" -- 'nbdinfo "$uri"' 2> log | grep -q '"mode":"delta"'
    full_or_fail 'FileFault&key=vim.file.locked' 4 'the host cannot use a file of the disk'
}

@test "InvalidArgument: of the changeId full or fail, of anything else an error" {
    vc
    a_checkpoint
    full_or_fail 'InvalidArgument&key=changeId' 1 'InvalidArgument'
    for property in startOffset deviceKey; do
        ordered "InvalidArgument&key=$property"
        fails "$property" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)"
    done
    ordered InvalidArgument
    fails 'InvalidArgument' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)"
}

@test "the snapshot or the machine is gone, no privilege: an error, whatever on-reset says" {
    vc
    a_checkpoint
    for kind in NotFound:'no such object' ManagedObjectNotFound:'the object is gone' \
        NoPermission:'lacks a privilege'; do
        ordered "${kind%%:*}"
        fails "${kind#*:}" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)"
    done
}

@test "the session expires in the middle of the pages: one new login, once" {
    vc
    a_checkpoint
    local logins
    logins=$(of "s['logins']")
    ordered NotAuthenticated 1 2
    once disk=2000 -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    [ "$(of "s['logins'] - $logins")" = 3 ] # the first, the new one, and that of the reads
    ordered NotAuthenticated 2
    refuses 'the session has expired' once disk=2001 -- true
    [ "$(of "v['taken']")" = 3 ]
}

@test "a SystemError is tried again where it came, not from the first page on" {
    vc
    ordered SystemError 3 6
    local before
    once disk=2000 retries=3 -- 'nbdcopy "$uri" out.img' 2> log
    same one.img out.img
    # 8 pages of 4 MiB, and the three that failed.
    [ "$(of "s['soap']['QueryChangedDiskAreas']")" = 11 ]
    ordered SystemError 4
    fails 'SystemError' "${SERVER[@]}" "$TRUST" "$VM" disk=2000
}

@test "which blocks are allocated cannot be told: everything is read" {
    vc
    for fault in "FileFault&key=$CBT.noEpoch" 'InvalidArgument&key=changeId' "FileFault&key=$CBT.noTrack"; do
        ordered "$fault"
        once disk=2000 -- 'nbdinfo --map "$uri"' 2> warning | awk '{print $1, $2, $3}' > map
        [ "$(cat map)" = "0 33554432 0" ]
        grep -q 'which blocks are allocated is not known' warning
    done
}

@test "changes without knowing what is allocated: changed is data, never zero" {
    vc
    once disk=2000 -- 'nbdinfo --json "$uri"' | /usr/bin/python3 -c '
import json, sys
print(json.loads(json.load(sys.stdin)["exports"][0]["description"])["checkpoint"])' > id
    control vc 'unmap?disk=2000&offset=0&length=131072'
    ordered "FileFault&key=$CBT.noEpoch" 1 8
    once disk=2000 since="$(cat id)" -- 'nbdinfo --map "$uri"' 2> warning | awk '{print $1, $2, $3}' > map
    [ "$(head -1 map)" = "0 131072 0" ]
    [ "$(sed -n 2p map)" = "131072 33423360 1" ]
}

@test "tracking switched off and on: the changeId is of another period" {
    vc
    a_checkpoint
    control vc 'cbt?on=0'
    control vc 'cbt?on=1'
    once disk=2001 since="$(cat id)" -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'changed block tracking was reset' warning
    fails 'was reset' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)" on-reset=fail
}

@test "the disk has grown: with the changeId alone as with the state" {
    vc
    a_checkpoint
    state_file state "$(cat id)" vm-42 2001 1048576
    control vc 'grow?disk=2001&size=2097152'
    once disk=2001 since=@state -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'had 1048576 bytes and has 2097152 now' warning
    fails 'on-reset=full' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since=@state on-reset=fail
}

# told_to_end SIGNAL TEXT ARGUMENTS...: nbdkit is told to end when it says TEXT, before it is ready. It
# ends soon, says why, and leaves nothing behind.
told_to_end() {
    local signal=$1 text=$2 pid status=0
    shift 2
    # A shell has what it starts in the background ignore SIGINT.
    env --default-signal=INT nbdkit -fv -U early.sock "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" \
        disk=2000 "$@" > early.log 2>&1 3>&- &
    pid=$!
    echo $pid > early.pid
    until_true 30 grep -q "$text" early.log || { cat early.log; return 1; }
    kill "-$signal" $pid
    until_true 20 gone $pid || { cat early.log; return 1; }
    wait $pid || status=$?
    cat early.log
    [ "$status" = 1 ]
    grep -q 'nbdkit: error: told to end by .* before it was ready' early.log
    control vc nofault
    clean
}

@test "SIGTERM and SIGINT in a pause of the start: it is not sat out, and nothing is left" {
    vc
    control vc 'fault?where=FindByInventoryPath&kind=503'
    told_to_end TERM 'status 503; retry 1 of 3 in 60000 ms' retry-delay=60
    control vc 'fault?where=CreateSnapshot_Task&kind=TaskInProgress'
    told_to_end INT 'busy with another task.* trying again in 60000 ms' retry-delay=60
    [ "$(of "v['taken']")" = 0 ]
    control vc 'fault?where=QueryChangedDiskAreas&kind=SystemError&after=3'
    told_to_end TERM 'SystemError.* trying again in 60000 ms' retry-delay=60
    control vc 'fault?where=flat&kind=503'
    told_to_end INT 'reading .*status 503.* retry 1 of 3 in 60000 ms' retry-delay=60
    [ "$(of "v['taken']")" = 2 ]
}

@test "SIGTERM while the snapshot is being created: its end is waited for, and then it is removed" {
    vc --task-ms 3000
    # The first of these questions is about the machine, the others are about the task.
    control vc 'fault?where=RetrievePropertiesEx&kind=503&after=3'
    told_to_end TERM 'RetrievePropertiesEx.*status 503; retry 1 of 3 in 60000 ms' retry-delay=60
    [ "$(of "v['taken']")" = 1 ]
    told_to_end TERM 'creating a snapshot of vm-42: [0-9]* %'
    [ "$(of "v['taken']")" = 2 ]
}

@test "SIGTERM in a pause of the start: those of the snapshot's removal are sat out" {
    vc
    control vc 'fault?where=QueryChangedDiskAreas&kind=SystemError&count=100'
    control vc 'fault?where=RemoveSnapshot_Task&kind=TaskInProgress&count=2'
    told_to_end TERM 'SystemError.* trying again in 1500 ms' retry-delay=1.5 retries=10
    [ "$(grep -c 'busy with another task.* trying again' early.log)" = 2 ]
    grep -q 'snapshot snapshot-[0-9]* of web1 is removed' early.log
}

@test "SIGTERM in a pause of a read: it is not sat out either" {
    vc
    serve disk=2000 retry-delay=60
    control vc 'fault?where=flat&kind=503'
    timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)" > read.log 2>&1 3>&- &
    until_true 30 grep -q 'reading .*status 503.* retry 1 of 3 in 60000 ms' src.log
    kill -TERM "$(cat src.pid)"
    until_true 20 gone "$(cat src.pid)"
    wait $! || true
    clean
}

@test "faults of the snapshot's creation say what to do" {
    vc
    for kind in TooManySnapshots:'too many snapshots' InvalidState:'state that does not allow this' \
        ApplicationQuiesceFault:'try quiesce=no' RestrictedVersion:"licence does not allow" \
        NotSupported:'does not support this' SnapshotIncompatibleDeviceInVm:'does not allow snapshots' \
        InsufficientResourcesFault:'short of resources' NoDiskSpace:'the datastore is full'; do
        for task in 0 1; do
            control vc "fault?where=CreateSnapshot_Task&kind=${kind%%:*}&task=$task"
            fails "${kind#*:}" "${SERVER[@]}" "$TRUST" "$VM" disk=2001
        done
    done
    [ "$(of "v['taken']")" = 0 ]
}
