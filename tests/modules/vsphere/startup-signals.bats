# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. A signal before nbdkit is ready: it ends, and leaves no snapshot.
load ../../lib
load ../../vcenter/vcenter
load vsphere

# told_to_end SIGNAL TEXT ARGUMENTS...: starts nbdkit and sends it SIGNAL when it has logged TEXT, before it
# is ready. It must end soon with an error, and leave no snapshot and no session.
told_to_end() {
    local signal=$1 text=$2 pid status=0
    shift 2
    # A shell makes background processes ignore SIGINT, and nohup SIGHUP.
    env --default-signal=INT,HUP nbdkit -fv -U early.sock "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" \
        disk=2000 "$@" > early.log 2>&1 3>&- &
    pid=$!
    echo $pid > early.pid
    until_true 30 grep -q "$text" early.log || { cat early.log; return 1; }
    kill "-$signal" $pid
    control vc 'pace?task-ms=20'
    until_true 20 gone $pid || { cat early.log; return 1; }
    wait $pid || status=$?
    cat early.log
    [ "$status" = 1 ]
    grep -q 'nbdkit: error: told to end by .* before it was ready' early.log
    control vc nofault
    clean
}

@test "SIGTERM, SIGINT and SIGHUP end a pause before a retry" {
    vc
    control vc 'fault?where=FindByInventoryPath&kind=503'
    told_to_end TERM 'status 503; retry 1 of 3 in 60000 ms' retry-delay=60
    control vc 'fault?where=CreateSnapshot_Task&kind=TaskInProgress'
    told_to_end INT 'busy with another task.* retry 1 of 3 in 60000 ms' retry-delay=60
    [ "$(of "v['taken']")" = 0 ]
    control vc 'fault?where=QueryChangedDiskAreas&kind=SystemError&after=3'
    told_to_end HUP 'SystemError.* retry 1 of 3 in 60000 ms' retry-delay=60
    control vc 'fault?where=flat&kind=503'
    told_to_end INT 'reading .*status 503.* retry 1 of 3 in 60000 ms' retry-delay=60
    [ "$(of "v['taken']")" = 2 ]
}

@test "SIGTERM while the snapshot is created: it is waited for and removed" {
    vc --task-ms 1800
    # The first requests are about the machine, the fourth is about the task.
    control vc 'fault?where=RetrievePropertiesEx&kind=503&after=3'
    told_to_end TERM 'RetrievePropertiesEx.*status 503; retry 1 of 3 in 60000 ms' retry-delay=60
    [ "$(of "v['taken']")" = 1 ]
    control vc 'pace?task-ms=3600000'
    told_to_end TERM 'creating a snapshot of vm-42: [0-9]* %'
    [ "$(of "v['taken']")" = 2 ]
}

@test "SIGTERM while no connection can be made for the creation: nothing is said to be left behind" {
    vc
    control vc 'fault?where=handshake&kind=drop&after=1&count=1'
    told_to_end TERM 'CreateSnapshot_Task: .*retry 1 of 3 in 60000 ms' retry-delay=60 since=@state
    must_fail grep -E 'left behind|has not said whether' early.log
    [ ! -e state.snapshot ]
    [ "$(of "v['taken']")" = 0 ]
}

# stuck METHOD: a call of the start is not answered for 100 s. SIGTERM is heeded within 2 s (and what the
# machine's load adds), and what is left to do is done. heeded= is how long it took, in ms.
stuck() {
    local pid begin status=0
    control vc "fault?where=$1&kind=stall&seconds=100"
    nbdkit -fv -U early.sock "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@state > early.log 2>&1 3>&- &
    pid=$!
    echo $pid > early.pid
    until_true 20 eval '[ "$(of "s[\"faults\"]")" = 0 ]'
    begin=$(date +%s%N)
    kill -TERM $pid
    until_true 20 gone $pid || { cat early.log; return 1; }
    wait $pid || status=$?
    heeded=$(( ($(date +%s%N) - begin) / 1000000 ))
    cat early.log
    echo "ended after $heeded ms"
    [ "$status" = 1 ]
    grep -q 'nbdkit: error: told to end by .* before it was ready' early.log
    clean
}

@test "SIGTERM ends a call that is not answered" {
    vc
    local method
    for method in FindByInventoryPath QueryChangedDiskAreas RetrievePropertiesEx; do
        stuck $method
        [ "$heeded" -lt 60000 ]
        [ ! -e state.snapshot ]
    done
}

@test "SIGTERM while the creation is not answered: the token stays, and the next run removes the snapshot" {
    vc
    stuck CreateSnapshot_Task
    [ "$heeded" -lt 60000 ]
    grep -q 'the next run removes it if it does' early.log
    grep -q '[0-9a-f]\{32\}' state.snapshot
}

@test "SIGTERM while the creation is not answered: a snapshot that appears is removed" {
    vc
    control vc 'fault?where=CreateSnapshot_Task&kind=stall&seconds=1'
    nbdkit -fv -U early.sock "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@state > early.log 2>&1 3>&- &
    local pid=$!
    echo $pid > early.pid
    until_true 20 eval '[ "$(of "s[\"faults\"]")" = 0 ]'
    kill -TERM $pid
    until_true 20 gone $pid
    cat early.log
    [ "$(of "v['taken']")" = 1 ]
    [ ! -e state.snapshot ]
    clean
}

@test "SIGTERM between the end of the start and nbdkit's own handlers is not lost" {
    vc
    mkdir sync
    touch sync/vsphere.started.hold
    REPLICATE_SYNC_DIR=$PWD/sync nbdkit -fv -U early.sock "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" \
        disk=2000 > early.log 2>&1 3>&- &
    local pid=$! status=0
    echo $pid > early.pid
    until_true 20 test -e sync/vsphere.started.held
    kill -TERM $pid
    rm sync/vsphere.started.hold
    until_true 20 gone $pid || { cat early.log; return 1; }
    wait $pid || status=$?
    cat early.log
    [ "$status" = 0 ] # nbdkit has ended as it does when it serves
    [ "$(of "v['taken']")" = 1 ]
    clean
}

@test "SIGTERM does not end a pause of the removal" {
    vc
    control vc 'fault?where=QueryChangedDiskAreas&kind=SystemError&count=100'
    control vc 'fault?where=RemoveSnapshot_Task&kind=TaskInProgress&count=2'
    told_to_end TERM 'SystemError.* retry 1 of 10 in 500 ms' retry-delay=0.5 retries=10
    [ "$(grep -c 'busy with another task.* retry . of 10 in' early.log)" = 2 ]
    grep -q 'snapshot snapshot-[0-9]* of web1 is removed' early.log
}

@test "SIGTERM ends the pause of a read that a client waits for" {
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
