# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. A snapshot is a run's own if it has the token, whatever the computers are called.
load ../../lib
load ../../vcenter/vcenter
load vsphere

# left_behind ARGUMENTS...: a run that is killed.
left_behind() {
    serve disk=2000 "$@"
    stop src KILL
    [ "$(of "len(v['snapshots'])")" = 1 ]
}

# by_hand: removes what a test has left.
by_hand() {
    [ -e vc.cookies ] || soap_login vc > login.xml
    soap_remove vc "$(of "v['snapshots'][0]['moref']")"
}

@test "the token is in the journal before the snapshot exists, and gone after its removal" {
    vc
    serve disk=2000 since=@state
    local token
    token=$(grep -o '[0-9a-f]\{32\}' state.snapshot)
    [ "$(of "v['snapshots'][0]['description'].endswith('token=$token')")" = True ]
    [ "$(stat -c %a state.snapshot)" = 600 ]
    stop src
    [ ! -e state.snapshot ]
    clean
}

@test "killed between the journal and the creation, and after the creation: the next run has its token" {
    vc
    mkdir sync
    touch sync/vsphere.token_durable.hold
    REPLICATE_SYNC_DIR=$PWD/sync nbdkit -fv -U x.sock "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" \
        disk=2000 since=@state > x.log 2>&1 3>&- &
    echo $! > x.pid
    until_true 20 test -e sync/vsphere.token_durable.held
    grep -q '[0-9a-f]\{32\}' state.snapshot
    no_snapshot
    stop x KILL
    left_behind since=@state
    serve disk=2000 since=@state
    grep -q 'removing the snapshot .* that an earlier run left' src.log
    [ "$(of "len(v['snapshots'])")" = 1 ]
}

@test "without a journal nothing is removed: the snapshot is named, with what made it" {
    vc
    left_behind
    refuses 'has the snapshot snapshot-' once disk=2000 -- true
    [[ "$output" == *'process '* ]]
    [[ "$output" == *'remove the snapshot in vSphere'* ]]
    [ "$(of "len(v['snapshots'])")" = 1 ]
    # Nor with the journal of another state.
    refuses 'has the snapshot snapshot-' once disk=2000 since=@other -- true
    [ "$(of "len(v['snapshots'])")" = 1 ]
    by_hand
}

# container NAME COMMAND...: as in a container with that host name and a network of its own, so that abstract
# sockets are others. The vCenter is reached through a Unix socket.
container() {
    unshare --net --uts bash -euc '
        hostname "$1"
        ip link set lo up
        "$2" "$3" bridge > forward.log & # read below, so that it listens
        trap "kill $!" EXIT
        until grep -q listening forward.log; do sleep 0.02; done
        "${@:4}"' _ "$1" "$FORWARD" "${SERVER[0]##*:}" "${@:2}" 3>&-
}

containers() {
    unshare --net --uts true 2> /dev/null || skip "needs root"
    command -v ip > /dev/null || skip "needs ip"
    FORWARD=$SOURCE/tests/modules/vsphere/forward.py
    vc
    "$FORWARD" bridge "${SERVER[0]##*:}" > bridge.log 2>&1 3>&- &
    echo $! > bridge.pid
    until_true 20 grep -q listening bridge.log
}

@test "two containers with one name: the second does not remove the first one's snapshot" {
    containers
    serve disk=2000 since=@first
    refuses 'of another run of nbdkit' container "$(hostname)" timeout 60 nbdkit -U - "$VSPHERE" \
        "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@second --run true
    [ "$(of "v['taken']")" = 1 ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "a container with a new name each time removes what the last one left, by its state" {
    containers
    left_behind since=@state
    container other-name timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 \
        since=@state --run 'nbdcopy "$uri" out.img' 2> second.log || { cat second.log; return 1; }
    same one.img out.img
    grep -q 'removing the snapshot .* that an earlier run left' second.log
    no_snapshot
}

@test "one state, two servers: the second one waits for its turn, and does not log in" {
    vc
    serve disk=2000 since=@state
    local logins
    logins=$(of "s['logins']")
    refuses 'state.snapshot is locked: another nbdkit makes a snapshot for the same since=' once disk=2001 since=@state -- true
    [ "$(of "s['logins']")" = "$logins" ]
}

@test "a directory of states has one journal; it is made if it does not exist" {
    vc
    serve since=@states/
    [ -s states/snapshot ]
    stop src KILL
    once since=@states -- 'nbdcopy "$uri" out.img' 2> log
    grep -q 'removing the snapshot .* that an earlier run left' log
    same one.img out.img
    no_snapshot
    [ ! -e states/snapshot ]
}

@test "a journal that cannot be written: no snapshot is made" {
    vc
    mkdir state.snapshot
    refuses 'state.snapshot' once disk=2000 since=@state -- true
    [ "$(of "v['taken']")" = 0 ]
    clean
}

@test "the creation is not answered: the token stays in the journal, and the next run looks for it" {
    vc
    control vc 'fault?where=CreateSnapshot_Task&kind=503'
    refuses 'HTTP status 503' once disk=2000 since=@state -- true
    [[ "$output" == *'the server has not said whether it creates the snapshot'* ]]
    grep -q '[0-9a-f]\{32\}' state.snapshot
    # It comes into being after all.
    soap_login vc > login.xml
    soap vc CreateSnapshot_Task VirtualMachine vm-42 "<name>nbdkit-replicate on x</name><description>token=$(grep -o '[0-9a-f]\{32\}' state.snapshot)</description><memory>false</memory><quiesce>false</quiesce>" > task.xml
    until_true 20 eval '[ "$(of "len(v[\"snapshots\"])")" = 1 ]'
    once disk=2000 since=@state -- true 2> log
    grep -q 'removing the snapshot .* that an earlier run left' log
    no_snapshot
}

# one_more: makes another snapshot with the token in the journal.
one_more() {
    [ -e vc.cookies ] || soap_login vc > login.xml
    soap vc CreateSnapshot_Task VirtualMachine vm-42 "<name>nbdkit-replicate on x</name><description>token=$(grep -o '[0-9a-f]\{32\}' state.snapshot)</description><memory>false</memory><quiesce>false</quiesce>" | element returnval > task
    until_true 20 task_ended vc "$(cat task)"
}

@test "the server has made two snapshots of one creation: the token stays until both are removed" {
    vc
    serve disk=2000 since=@state
    one_more
    stop src
    grep -q "web1 has one more snapshot with a token of $PWD/state.snapshot: the next run removes it" src.log
    one_more
    [ "$(of "len(v['snapshots'])")" = 2 ]
    once disk=2000 since=@state -- true 2> log
    [ "$(grep -c 'removing the snapshot .* that an earlier run left' log)" = 2 ]
    no_snapshot
    [ ! -e state.snapshot ]
}

@test "a question after the removal fails: the snapshot is not said to be left behind" {
    vc
    echo '{"nbdkit-replicate-snapshots":1,"tokens":["0123456789abcdef0123456789abcdef"]}' > state.snapshot
    serve disk=2000 since=@state
    # Somebody removes it. After the removal the first question is whether it is still there.
    by_hand
    control vc 'fault?where=RetrievePropertiesEx&kind=NoPermission&behind=RemoveSnapshot_Task&after=1&count=9'
    stop src
    grep -q 'is gone already' src.log
    grep -q "the tokens in $PWD/state.snapshot stay until the next run: .* lacks a privilege" src.log
    must_fail grep -q 'left behind' src.log
    control vc nofault
    once disk=2000 since=@state -- true
    [ ! -e state.snapshot ]
}

@test "a token of which there is no snapshot leaves the journal when the next run has made and removed its own" {
    vc
    echo '{"nbdkit-replicate-snapshots":1,"tokens":["0123456789abcdef0123456789abcdef"]}' > state.snapshot
    once disk=2000 since=@state -- true
    no_snapshot
    [ ! -e state.snapshot ]
}
