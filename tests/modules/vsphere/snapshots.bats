# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. The snapshot's creation and removal, and the tasks of the server.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "quiesce= is passed to the server" {
    vc
    serve quiesce=yes
    [ "$(of "v['snapshots'][0]['quiesced']")" = True ]
    stop src
    serve
    [ "$(of "v['snapshots'][0]['quiesced']")" = False ]
}

@test "a failure after the creation: the snapshot is removed" {
    vc
    control vc 'fault?where=QueryChangedDiskAreas&kind=NoPermission&after=1'
    fails 'lacks a privilege' "${SERVER[@]}" "$TRUST" "$VM"
    control vc 'fault?where=flat&kind=404'
    fails 'has no file [' "${SERVER[@]}" "$TRUST" "$VM"
    control vc 'fault?where=flat&kind=ignore-range'
    fails 'ignores Range requests' "${SERVER[@]}" "$TRUST" "$VM"
    [ "$(of "v['taken']")" = 3 ]
    control vc 'fault?where=CreateSnapshot_Task&kind=FilesystemQuiesceFault&task=1'
    fails 'try quiesce=no' "${SERVER[@]}" "$TRUST" "$VM" quiesce=yes
    control vc 'fault?where=QueryChangedDiskAreas&kind=SystemError&count=2'
    once disk=2001 -- 'nbdinfo --size "$uri"'
    clean
}

@test "each fault of the creation is explained" {
    vc
    for kind in TooManySnapshots:'too many snapshots' InvalidState:'state that does not allow this' \
        ApplicationQuiesceFault:'try quiesce=no' RestrictedVersion:"licence does not allow" \
        NotSupported:'does not support this' SnapshotIncompatibleDeviceInVm:'does not allow snapshots' \
        InsufficientResourcesFault:'short of resources' NoDiskSpace:'the datastore is full'; do
        control vc "fault?where=CreateSnapshot_Task&kind=${kind%%:*}&task=1"
        fails "${kind#*:}" "${SERVER[@]}" "$TRUST" "$VM" disk=2001
    done
    # Of the call instead of its task.
    control vc "fault?where=CreateSnapshot_Task&kind=${kind%%:*}"
    fails "${kind#*:}" "${SERVER[@]}" "$TRUST" "$VM" disk=2001
    [ "$(of "v['taken']")" = 0 ]
}

# quick_after TEXT: tasks last until src.log has TEXT.
quick_after() {
    until_true 60 grep -qs "$1" src.log
    control vc 'pace?task-ms=20'
}

@test "the progress of a long task is logged" {
    vc --task-ms 3600000
    quick_after 'creating a snapshot of vm-42: [0-9]* %' 3>&- &
    serve disk=2001
    grep -q 'creating a snapshot of vm-42: [0-9]* %' src.log
    control vc 'pace?task-ms=3600000'
    quick_after 'removing snapshot snapshot-[0-9]*: [0-9]* %' 3>&- &
    stop src
    grep -q 'removing snapshot snapshot-[0-9]*: [0-9]* %' src.log
    clean
}

@test "the disks are consolidated if the removal has not done so" {
    vc
    serve disk=2001
    control vc 'consolidation?needed=1'
    stop src
    grep -q 'the disks of web1 need consolidation' src.log
    [ "$(of "v['consolidation_needed']")" = False ]
    clean

    # If that fails, a warning says so, and nothing else fails.
    serve disk=2001
    control vc 'consolidation?needed=1'
    control vc 'fault?where=ConsolidateVMDisks_Task&kind=NoDiskSpace&task=1'
    stop src
    grep -q 'warning: consolidating the disks of vm-42: the datastore is full .*Snapshots, Consolidate' src.log
    clean
}

@test "a machine that is busy with another task is retried" {
    vc
    control vc 'fault?where=CreateSnapshot_Task&kind=TaskInProgress&count=2'
    control vc 'fault?where=CreateSnapshot_Task&kind=TaskInProgress&task=1'
    serve disk=2001
    [ "$(grep -c 'busy with another task.* retry . of 3 in' src.log)" = 3 ]
    [ "$(of "v['most_snapshots']")" = 1 ]
    # The removal is retried more often.
    control vc 'fault?where=RemoveSnapshot_Task&kind=TaskInProgress&count=6'
    stop src
    clean
    control vc 'fault?where=CreateSnapshot_Task&kind=TaskInProgress&count=4'
    fails 'the virtual machine is busy with another task: try again later' "${SERVER[@]}" "$TRUST" "$VM"
}

@test "somebody else has removed the snapshot" {
    vc
    serve disk=2001
    soap_login vc > login.xml
    soap_remove vc "$(of "v['snapshots'][0]['moref']")"
    stop src
    grep -q 'is gone already' src.log
    must_fail grep -q 'nbdkit: error:' src.log
}

@test "the answer to the creation is lost: the snapshot is found and removed" {
    vc --task-ms 500
    control vc 'fault?where=RetrievePropertiesEx&kind=NoPermission&after=3'
    refuses 'lacks a privilege' once disk=2001 -- true
    [ "$(of "v['taken']")" = 1 ]
    clean
}

@test "the answer to the creation is lost with the connection: one snapshot is made, and it is removed" {
    vc
    control vc 'fault?where=CreateSnapshot_Task&kind=lost'
    refuses 'the connection to 127.0.0.1' once disk=2001 -- true
    [ "$(of "(v['taken'], s['soap']['CreateSnapshot_Task'])")" = "(1, 1)" ]
    clean
}

@test "a connection cannot be made when the snapshot is created: that is retried, as nothing was asked for" {
    vc
    # The call has a connection of its own, the second one of the run.
    control vc 'fault?where=handshake&kind=drop&after=1&count=3'
    serve disk=2001 since=@state
    [ "$(grep -c 'CreateSnapshot_Task: .*; retry . of 3 in' src.log)" = 3 ]
    [ "$(of "(v['taken'], s['soap']['CreateSnapshot_Task'], s['faults'])")" = "(1, 1, 0)" ]
    nbdcopy "$(uri src)" out.img
    same two.img out.img
    stop src
    clean

    control vc 'fault?where=handshake&kind=drop&after=1&count=4'
    refuses 'no TLS connection to 127.0.0.1' once disk=2001 since=@state -- true
    [[ "$output" != *'has not said whether it creates'* ]]
    [ ! -e state.snapshot ]
    [ "$(of "(v['taken'], s['soap']['CreateSnapshot_Task'], s['faults'])")" = "(1, 1, 0)" ]
    clean
}

@test "no connection can be made for the creation, nor later: nothing is said to be left behind" {
    vc
    control vc 'fault?where=handshake&kind=drop&after=1&count=40'
    refuses 'no TLS connection to 127.0.0.1' once disk=2001 since=@state -- true
    [[ "$output" != *'left behind'* ]]
    [ ! -e state.snapshot ]
    until_true 60 control vc nofault
    control vc expire  # it could not log out
}

@test "a connection cannot be made when change tracking is turned on: that is retried" {
    vc --no-cbt
    control vc 'fault?where=handshake&kind=drop&after=1&count=3'
    once disk=2001 enable-cbt=yes -- true
    [ "$(of "(v['cbt'], s['soap']['ReconfigVM_Task'], s['faults'])")" = "(True, 1, 0)" ]
    clean
}

# removing: the server has been asked for a removal. The snapshot is not watched any more.
removing() { [ "$(of "s['soap'].get('RemoveSnapshot_Task')")" = 1 ]; }
no_fault_left() { [ "$(of "s['faults']")" = 0 ]; }

# one_question_fails ARGUMENTS: of those about the task of the removal, or all if they are retried.
one_question_fails() {
    control vc "fault?where=RetrievePropertiesEx&$1"
    until_true 60 no_fault_left
}

# its_task_is_gone: when the server is asked about the removal.
its_task_is_gone() {
    until_true 60 removing
    one_question_fails kind=ManagedObjectNotFound
}

@test "the task of a removal is gone, but not the snapshot: it is left behind, and its token stays" {
    vc
    serve disk=2001 since=@state
    control vc 'pace?task-ms=3600000'
    its_task_is_gone 3>&- &
    stop src
    wait $!
    grep -q 'could not be removed and is left behind: its token is in' src.log
    grep -q '[0-9a-f]\{32\}' state.snapshot
    control vc 'pace?task-ms=20'
    until_true 60 no_snapshot
}

# after_three_pauses: the removal ends when three questions about it have been retried.
after_three_pauses() {
    until_true 60 removing
    for _ in 1 2 3; do one_question_fails 'kind=503&after=1'; done
    control vc 'pace?task-ms=20'
}

@test "a removal that the server tells of is waited for, however long the answers take all together" {
    vc
    serve disk=2001 end-timeout=18 retry-delay=4.1 # together the pauses are longer than 12 s
    control vc 'pace?task-ms=3600000'
    after_three_pauses 3>&- &
    stop src
    wait $!
    [ "$(grep -c 'HTTP status 503; retry . of 3' src.log)" = 3 ]
    must_fail grep -q 'left behind' src.log
    clean
}

@test "somebody takes another snapshot while the disks are read: it stays" {
    vc
    serve disk=2001
    soap_login vc > login.xml
    soap_snapshot vc vm-42 > theirs
    stop src
    [ "$(of "[one['moref'] for one in v['snapshots']]")" = "['$(cat theirs)']" ]
    soap_remove vc "$(cat theirs)"
}
