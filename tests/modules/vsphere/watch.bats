# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. Somebody removes the snapshot while it is read.
load ../../lib
load ../../vcenter/vcenter
load vsphere

# remove_all: as another product does. The machine then writes.
remove_all() {
    [ -e vc.cookies ] || soap_login vc > login.xml
    local task
    task=$(soap vc RemoveAllSnapshots_Task VirtualMachine vm-42 | element returnval)
    until_true 20 task_ended vc "$task"
    no_snapshot
    control vc 'write?disk=2000&offset=0&length=33554432&byte=77' > write.json
}

GONE='the snapshot snapshot-[0-9]* ("nbdkit-replicate on .*") of virtual machine web1 is gone: .*Run the same command again'

# a_read [OFFSET]: of 64 KiB.
a_read() { timeout 60 qemu-io -r -f raw -c "read ${1:-0} 64k" "$(uri src)"; }

@test "the description says that a new connection confirms; delta passes it on, and asks" {
    vc
    serve disk=2000
    nbdinfo --json "$(uri src)" | grep -q 'confirm\\":\\"connection'
    stop src
    start src --filter="$DELTA" "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000
    nbdinfo --json "$(uri src)" | grep -q 'confirm\\":\\"connection'
    remove_all
    refuses "" a_read
    grep -q "$GONE" src.log
}

@test "a new client is refused, with the reason" {
    vc
    serve disk=2000
    a_read
    remove_all
    refuses "" a_read
    grep -q "$GONE" src.log
    stop src
    must_fail grep -q 'could not be removed' src.log
}

@test "another snapshot in its place does not count" {
    vc
    serve disk=2000
    remove_all
    soap_snapshot vc vm-42 > theirs
    refuses "" a_read
    grep -q "$GONE" src.log
    stop src
    soap_remove vc "$(cat theirs)"
}

@test "the watch finds it out by itself; every read fails from then on, with one error in the log" {
    vc
    serve disk=2000
    # One client, connected before: a pipe holds it.
    mkfifo commands
    qemu-io -r -f raw "$(uri src)" < commands > client.log 2>&1 3>&- &
    exec 9> commands
    echo 'read 0 64k' >&9
    until_true 20 grep -q 'read 65536/65536' client.log
    remove_all
    soap_snapshot vc vm-42 > theirs # the file can be read again, with other bytes
    until_true 30 grep -q "$GONE" src.log
    local requests i
    requests=$(of "s['folder']['requests']")
    for i in 1 2 3 4; do echo "read ${i}M 64k" >&9; done
    exec 9>&-
    wait $! || true
    [ "$(grep -c 'read failed: Input/output error' client.log)" = 4 ]
    [ "$(of "s['folder']['requests']")" = "$requests" ]
    [ "$(grep -c 'error: .*is gone' src.log)" = 1 ]
    [ "$(grep -c 'nbdkit: .*error: ' src.log)" = 1 ]
    stop src
    soap_remove vc "$(cat theirs)"
}

@test "a read that fails asks: one error, not one for each HTTP status" {
    vc
    start src "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 retries=0
    mkfifo commands
    qemu-io -r -f raw "$(uri src)" < commands > client.log 2>&1 3>&- &
    exec 9> commands
    echo 'read 0 64k' >&9
    until_true 20 grep -q 'read 65536/65536' client.log
    remove_all
    local i
    for i in 1 2 3 4 5 6; do echo "aio_read ${i}M 64k" >&9; done
    exec 9>&-
    wait $! || true
    grep -q "error: $GONE" src.log
    must_fail grep -q 'error: .*HTTP status' src.log
    [ "$(grep -c 'nbdkit: .*error: ' src.log)" = 1 ]
}

@test "a server that does not answer is no reason: reads go on, and only new clients are refused" {
    vc
    start src "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 retries=0
    mkfifo commands
    qemu-io -r -f raw "$(uri src)" < commands > client.log 2>&1 3>&- &
    exec 9> commands
    echo 'read 0 64k' >&9
    until_true 20 grep -q 'read 65536/65536' client.log
    control vc 'fault?where=RetrievePropertiesEx&kind=503&count=1000'
    refuses "" a_read
    grep -q 'is still there is not known, so no client is accepted: .*HTTP status 503' src.log
    echo 'read 1M 64k' >&9
    exec 9>&-
    wait $!
    [ "$(grep -c 'read 65536/65536' client.log)" = 2 ]
    must_fail grep -q 'is gone' src.log
    control vc nofault
    a_read
}

@test "an expired session is begun again for the question, and all sessions are ended" {
    vc
    serve disk=2000
    control vc expire
    a_read
    stop src
    clean
}

@test "snapshot=current is watched too" {
    vc
    soap_login vc > login.xml
    soap_snapshot vc vm-42 > theirs
    serve disk=2000 snapshot=current
    a_read
    remove_all
    refuses "" a_read
    grep -q 'is gone: .* Name another one with snapshot=' src.log
}
