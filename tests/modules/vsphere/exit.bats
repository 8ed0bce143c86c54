# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. However nbdkit ends, the snapshot is removed.
load ../../lib
load ../../vcenter/vcenter
load vsphere

reading() { [ "$(of "s['folder']['requests']")" -gt 5 ]; }

# nbdkit 1.32 waits for clients that are connected but send nothing.
@test "SIGTERM while a client reads, SIGINT without a client" {
    vc --delay-ms 100
    serve disk=2000 connections=1
    timeout 60 nbdcopy --request-size=65536 "$(uri src)" null: 2> client.log 3>&- &
    until_true 20 reading
    stop src
    clean
    wait $! || true

    serve
    stop src INT
    clean
}

@test "as a daemon: the child removes the snapshot, not its parent" {
    vc
    nbdkit -U "$PWD/src.sock" -P src.pid "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 3>&-
    [ "$(of "len(v['snapshots'])")" = 1 ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    clean
}

@test "another module fails to get ready" {
    vc
    refuses "" timeout 60 nbdkit -U - --filter=log "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" \
        logfile=/nonexistent/log --run true
    clean
}

@test "kill -9: the next run with the same state removes the snapshot first" {
    vc
    serve disk=2000 since=@state
    stop src KILL
    [ "$(of "len(v['snapshots'])")" = 1 ]
    serve disk=2000 since=@state
    grep -q 'removing the snapshot .* that an earlier run left' src.log
    [ "$(of "len(v['snapshots'])")" = 1 ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    no_snapshot
}

@test "SIGABRT, which a client that disconnects may cause: the snapshot is removed first" {
    vc --delay-ms 50
    serve disk=2000 retry-delay=0.05
    nbdcopy --request-size=65536 "$(uri src)" null: 2> client.log 3>&- &
    local client=$!
    until_true 20 grep -q 'vsphere: pread count=65536 offset=[1-9]' src.log
    stop src ABRT
    wait $client || true
    grep -q 'warning: nbdkit is being aborted; the snapshot is removed first' src.log
    clean
    # The next run finds no snapshot.
    serve disk=2000
    must_fail grep -q 'an earlier run left' src.log
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

# nbdkit 1.32 fails an assertion if a client disconnects while several threads answer it.
@test "a client disconnects without having read its answers" {
    vc
    serve disk=2000
    /usr/bin/python3 -c '
import nbd, signal, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
for i in range(16): h.aio_pread(nbd.Buffer(1 << 20), i << 20)
while h.aio_get_direction() & nbd.AIO_DIRECTION_WRITE: h.aio_notify_write()
signal.pause()' "$(uri src)" 3>&- &
    local client=$!
    until_true 20 eval '[ "$(grep -c "vsphere: pread" src.log)" = 16 ]'
    # All data that these requests ask for has been read.
    until_true 20 eval '[ "$(of "s[\"folder\"][\"bytes\"]")" -ge $((4 << 20)) ]'
    kill -KILL $client
    wait $client || true
    stop src
    clean
}

@test "a client is killed in the middle of a copy" {
    vc
    control vc 'hold?offset=2097152&length=65536'
    # One thread a connection: with several nbdkit 1.32 may abort.
    start src -t 1 "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 connections=2
    nbdcopy --request-size=65536 "$(uri src)" null: 2> client.log 3>&- &
    local client=$!
    until_true 20 grep -q 'pread count=65536 offset=2097152' src.log
    kill -KILL $client
    wait $client || true
    control vc release
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    clean
}

# removed_by_hand: the server may be about to carry out what nbdkit has sent before it ended.
removed_by_hand() {
    if no_snapshot; then return; fi
    soap vc RemoveAllSnapshots_Task VirtualMachine vm-42 > removal.xml
    no_snapshot
}

@test "a vCenter that does not answer the end: end-timeout= ends it, and says what is left; the next run removes it" {
    vc
    serve disk=2000 since=@state end-timeout=2
    local moref
    moref=$(of "v['snapshots'][0]['moref']")
    control vc 'fault?where=RemoveSnapshot_Task&kind=stall&seconds=100&count=9'
    stop src
    grep -q "error: the snapshot $moref (\"nbdkit-replicate on .*\") of virtual machine web1 could not be removed and is left behind: its token is in $PWD/state.snapshot, by which the next run" src.log
    grep -q '[0-9a-f]\{32\}' state.snapshot
    [ "$(of "len(v['snapshots'])")" = 1 ]
    control vc nofault
    serve disk=2000 since=@state
    grep -q "removing the snapshot $moref that an earlier run left" src.log
    # Nothing is answered at all, and there is no journal.
    stop src
    no_snapshot
    serve disk=2000 end-timeout=2
    kill -STOP "$(cat vc.pid)"
    stop src
    kill -CONT "$(cat vc.pid)"
    grep -q 'left behind: remove it in vSphere: .*' src.log
    grep -q 'the server is not told to end the session' src.log
    soap_login vc > login.xml
    until_true 20 removed_by_hand
}

@test "SIGTERM while a read waits for a server that hangs" {
    vc
    serve disk=2000 timeout=600
    control vc 'fault?where=flat&kind=stall&seconds=200&count=9'
    a_read_ends_with_the_server
    [ "$(grep -c 'from now on it is read through' src.log)" = 0 ]
    control vc nofault
    start far file one.img
    serve disk=2000 timeout=600 transport=nbd nbd-uri="$(uri far)"
    kill -STOP "$(cat far.pid)"
    a_read_ends_with_the_server
    kill -KILL "$(cat far.pid)"
}
