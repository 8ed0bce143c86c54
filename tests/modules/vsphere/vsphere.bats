# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin against the simulated vCenter.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "a whole disk: the bytes, the map, the description; nothing is left behind" {
    vc
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ "$(map "$(uri src)")" = "0 4194304 0
4194304 12582912 3
16777216 4194304 0
20971520 8388608 3
29360128 4194304 0" ]
    nbdinfo "$(uri src)" | grep -q '"mode":"full"'
    nbdinfo --can multi-conn "$(uri src)"
    nbdinfo --is readonly "$(uri src)"
    [ "$(nbdinfo --size "$(uri src)")" = 33554432 ]
    grep -q 'virtual machine web1 (vm-42), disk 2000 ("Hard disk 1"): 33554432 bytes, allocated 12582912' src.log
    [ "$(of "v['snapshots'][0]['name']")" = "nbdkit-replicate on $(hostname)" ]
    stop src
    clean
    must_fail grep -q s3cret src.log vc/vcenter.log
}

@test "all disks are exports, named by their keys; the first is the default" {
    vc
    serve
    nbdinfo --list --json "$(uri src)" | grep -q '"export-name": "2001"'
    nbdcopy "$(uri src 2001)" two.out
    same two.img two.out
    nbdcopy "$(uri src)" one.out
    same one.img one.out
    refuses "" timeout 30 nbdinfo "$(uri src 2002)"
    grep -q 'no export "2002": the first one is "2000"' src.log
}

@test "the manual's example: copy a disk to a file with --run" {
    vc
    once disk=2000 -- 'nbdcopy "$uri" web1.img'
    same one.img web1.img
    clean
}

@test "since: what the guest wrote is data, what it trimmed is zero, the rest is not told" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'write?disk=2000&offset=17000000&length=70000&byte=0x5a'
    control vc 'unmap?disk=2000&offset=1048576&length=131072'
    for since in "$(cat id)" @state; do
        state_file state "$(cat id)"
        serve disk=2000 since="$since"
        map "$(uri src)" > map
        diff map - <<'MAP'
0 1048576 1
1048576 131072 3
1179648 15794176 1
16973824 131072 0
17104896 16449536 1
MAP
        nbdinfo "$(uri src)" | grep -q '"mode":"delta"'
        # Reads are the disk's bytes everywhere.
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        stop src
        clean
    done
    once disk=2000 since="$(cat id)" -- 'nbdinfo --map --totals "$uri"' | grep -q ' 131072 .* 0 '
}

@test "since with nothing changed, and with a state file that is not there yet or knows nothing" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    once disk=2000 since="$(cat id)" -- 'nbdinfo --map "$uri"' | awk '{print $1, $2, $3}' > map
    [ "$(cat map)" = "0 33554432 1" ]
    once disk=2000 since=@none -- 'nbdinfo "$uri"' | grep -q '"mode":"full"'
    state_file empty ""
    once disk=2000 since=@empty -- 'nbdinfo "$uri"' | grep -q '"mode":"full"'
}

@test "since: a state of another machine or disk is refused; several disks need disk=" {
    vc
    state_file other_vm "52 aa/1" vm-43
    fails 'that state is of vsphere vm-43 disk 2000' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@other_vm
    state_file other_disk "52 aa/1" vm-42 2001
    fails 'disk 2001' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@other_disk
    state_file good "52 aa/1"
    fails 'say which with disk=' "${SERVER[@]}" "$TRUST" "$VM" since=@good
}

@test "since: a directory with a state for each disk" {
    vc
    mkdir states
    # Nothing is known of either, also where there is no directory yet.
    for since in @states @none/; do
        once since=$since -- 'nbdinfo --list "$uri"' | grep -c '"mode":"full"' > full
        [ "$(cat full)" = 2 ]
    done
    serve
    local first second
    first=$(checkpoint "$(uri src)")
    second=$(checkpoint "$(uri src 2001)")
    stop src
    control vc 'write?disk=2000&offset=65536&length=65536&byte=0x41'
    control vc 'write?disk=2001&offset=131072&length=65536&byte=0x42'

    state_file states/2000.state "$first"
    # One disk has a state, the other has not.
    serve since=@states
    [ "$(map "$(uri src 2000)")" = "0 65536 1
65536 65536 0
131072 33423360 1" ]
    nbdinfo "$(uri src 2001)" | grep -q '"mode":"full"'
    stop src
    # Both have; what else lies there is left alone.
    state_file states/2001.state "$second" vm-42 2001 1048576
    echo nonsense > states/web1.state
    serve since=@states/
    [ "$(map "$(uri src 2001)")" = "0 131072 1
131072 65536 0
196608 851968 1" ]
    nbdinfo "$(uri src 2000)" | grep -q '"mode":"delta"'
    stop src
    once disk=2001 since=@states -- 'nbdinfo "$uri"' | grep -q '"mode":"delta"'
    # One is of another machine, or of another disk than its name says.
    state_file states/2001.state "$second" vm-43 2001 1048576
    fails 'that state is of vsphere vm-43 disk 2001' "${SERVER[@]}" "$TRUST" "$VM" since=@states
    state_file states/2001.state "$second" vm-42 2000 1048576
    fails '2001.state is the state of disk 2000' "${SERVER[@]}" "$TRUST" "$VM" since=@states
}

@test "on-reset: tracking was reset, or the disk has grown" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'reset?disk=2000'
    once disk=2000 since="$(cat id)" -- 'nbdinfo "$uri"; nbdinfo --map "$uri"' > full 2> warning
    grep -q '"mode":"full"' full
    grep -q ' 4194304 *12582912 *3' full
    grep -q 'warning: the whole disk 2000 is in the delta: .*was reset' warning
    fails 'on-reset=full copies all of it' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 \
        since="$(cat id)" on-reset=fail

    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'grow?disk=2000&size=34603008'
    state_file state "$(cat id)"
    once disk=2000 since=@state -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'had 33554432 bytes and has 34603008 now' warning
    fails 'on-reset=full' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@state on-reset=fail
}

@test "a FileFault of the query: since becomes full; of the allocation: everything is data" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'fault?where=QueryChangedDiskAreas&kind=FileFault&key=vim.hostd.vmsvc.cbt.cannotGetChanges'
    once disk=2000 since="$(cat id)" -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'the whole disk 2000 is in the delta' warning
    control vc 'fault?where=QueryChangedDiskAreas&kind=FileFault&key=vim.hostd.vmsvc.cbt.noEpoch'
    once disk=2000 -- 'nbdinfo --map "$uri"' 2> warning | awk '{print $1, $2, $3}' > map
    [ "$(cat map)" = "0 33554432 0" ]
    grep -q 'which blocks are allocated is not known' warning
    clean
}

@test "what is wrong is said in one line, and leaves no snapshot" {
    vc
    local user=user=administrator@vsphere.local host
    host=$(vcenter_fact vc host)
    fails 'check user= and password=' server="$host" "$user" password=wrong "$TRUST" "$VM"
    fails 'there is no such virtual machine' "${SERVER[@]}" "$TRUST" vm=/Europe/DC0/vm/web2
    fails 'there is no such virtual machine' "${SERVER[@]}" "$TRUST" vm=web2
    fails 'there is no such virtual machine' "${SERVER[@]}" "$TRUST" vm=uuid=11111111-2222-3333-4444-555555555555
    fails 'the object is gone' "${SERVER[@]}" "$TRUST" vm=moref=vm-999
    fails 'it has 2000 ("Hard disk 1"), 2001' "${SERVER[@]}" "$TRUST" "$VM" disk=2005
    fails 'is not trusted' "${SERVER[@]}" "$VM"
    fails 'cannot connect to 127.0.0.1:1 ' server=127.0.0.1:1 "$user" password=x "$TRUST" "$VM"
    fails 'must be a number between 1 and 8' "${SERVER[@]}" "$TRUST" "$VM" connections=9
    fails 'must be full or fail' "${SERVER[@]}" "$TRUST" "$VM" on-reset=maybe
    fails 'must be a changeId' "${SERVER[@]}" "$TRUST" "$VM" since=yesterday
    fails 'vm= is missing' "${SERVER[@]}" "$TRUST"
    fails 'password= is missing' server="$host" "$user" "$TRUST" "$VM"
    fails 'exclude each other' "${SERVER[@]}" "$TRUST" "$VM" insecure=yes
    fails 'must be auto, vddk, https or nbd' "${SERVER[@]}" "$TRUST" "$VM" transport=ftp
    fails 'HOST or HOST:PORT' server=https://vc/ "$user" password=x "$TRUST" "$VM"
    [ "$(of "v['taken']")" = 0 ]
}

@test "the thumbprint decides: SHA-1, SHA-256, a wrong one" {
    vc
    TRUST=thumbprint=$(vcenter_fact vc thumbprint)
    once disk=2001 -- 'nbdcopy "$uri" out.img'
    same two.img out.img
    TRUST=thumbprint=$(vcenter_fact vc thumbprint_sha256)
    once disk=2001 -- 'nbdinfo --size "$uri"'
    local logins
    logins=$(of "s['logins']")
    fails "has the thumbprint $(vcenter_fact vc thumbprint), not AA:" "${SERVER[@]}" "$VM" \
        thumbprint=AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA
    fails 'thumbprint=12:34: must be' "${SERVER[@]}" "$VM" thumbprint=12:34
    [ "$(of "s['logins']")" = "$logins" ]
    TRUST=insecure=yes
    once disk=2001 -- 'nbdinfo --size "$uri"'
}

@test "the machine is found by path, name, moref and both uuids" {
    cp two.img two2.img
    cp two.img two3.img
    vc --vm /Europe/DC0/vm/old/twin=vm-50 --disk 2000=two2.img --vm /Asia/DC1/vm/twin=vm-51 --disk 2000=two3.img
    for vm in web1 Europe/DC0/vm/web/web1 moref=vm-42 "uuid=$(of "v['uuid']")" "uuid=$(of "v['instance_uuid']")"; do
        VM=vm=$vm
        once disk=2001 -- 'nbdcopy "$uri" out.img'
        same two.img out.img
        rm out.img
    done
    fails '/Europe/DC0/vm/old/twin (moref=vm-50), /Asia/DC1/vm/twin (moref=vm-51)' "${SERVER[@]}" "$TRUST" vm=twin
    # Another datacenter is another dcPath.
    VM=vm=/Asia/DC1/vm/twin
    once -- 'nbdcopy "$uri" out.img'
    same two3.img out.img
}

@test "a disk is chosen by key, place or label; without disk= all of them, with a description each" {
    vc
    for disk in 2001 1 'Hard disk 2'; do
        once disk="$disk" -- 'nbdcopy "$uri" out.img; nbdinfo --list --json "$uri"' > exports
        same two.img out.img
        [ "$(jq -r '.exports | map(."export-name") | join(" ")' exports)" = 2001 ]
        rm out.img
    done
    once -- 'nbdinfo --list --json "$uri"' > exports
    [ "$(jq -r '.exports | map(."export-name") | join(" ")' exports)" = '2000 2001' ]
    [ "$(jq -r '.exports[] | .description | fromjson | "\(.vm) \(.disk) \(.size) \(.mode)"' exports)" = \
        "vm-42 2000 33554432 full
vm-42 2001 1048576 full" ]
    fails 'has no such disk' "${SERVER[@]}" "$TRUST" "$VM" disk='Hard disk 3'
    fails 'has no such disk' "${SERVER[@]}" "$TRUST" "$VM" disk=2
}

@test "nested folders, and names with all that a path, a query or XML could trip over" {
    local name='/My & <Folder>/DC "1"+é/vm/a b/c%2fd/deep/web #1; ?x=y & 100%25'
    start_vcenter vc --vm "$name=vm-42" --disk 2000=two.img --datastore 'store (1) + &é' --task-ms 20
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass")
    TRUST=cafile=$(vcenter_fact vc cafile)
    for VM in "vm=$name" "vm=${name#/}" "vm=${name##*/}"; do
        once -- 'nbdcopy "$uri" out.img'
        same two.img out.img
        rm out.img
    done
    clean
}

@test "names that need quoting" {
    start_vcenter vc --vm '/My & Folder/DC 1+/vm/web #1 50% off=vm-42' --disk 2000=two.img --datastore 'store &1' --task-ms 20
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass")
    TRUST=cafile=$(vcenter_fact vc cafile)
    VM=vm=moref=vm-42
    once -- 'nbdcopy "$uri" out.img'
    same two.img out.img
}

@test "change tracking off: an error says how to turn it on; enable-cbt does" {
    vc --no-cbt
    fails 'enable-cbt=yes turns it on' "${SERVER[@]}" "$TRUST" "$VM"
    [ "$(of "v['taken']")" = 0 ]
    once disk=2000 enable-cbt=yes -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    [ "$(of "v['cbt']")" = True ]
    once disk=2000 -- 'nbdinfo --size "$uri"'
    clean
}

@test "a machine with somebody's snapshot is refused, tracked or not, and the snapshot stays" {
    vc --no-cbt
    soap_login vc
    soap_snapshot vc vm-42
    for cbt in 0 1; do
        control vc "cbt?on=$cbt"
        refuses 'has snapshots ("test")' timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" \
            "$VM" enable-cbt=yes --run true
        [ "$(of "int(v['cbt'])")" = "$cbt" ]
        [ "$(of "len(v['snapshots'])")" = 1 ]
    done
}

@test "sessions that expire are renewed, and the snapshot is removed after that" {
    vc
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    control vc expire
    nbdcopy "$(uri src)" out2.img
    same one.img out2.img
    control vc expire
    stop src
    no_snapshot
    control vc 'fault?where=QueryChangedDiskAreas&kind=NotAuthenticated&after=2'
    once disk=2000 -- 'nbdcopy "$uri" out.img'
    same one.img out.img
}

@test "reads are tried again after a broken connection, a server error, a short answer, a 401" {
    vc
    serve disk=2000
    for kind in reset 503 500 short 401; do
        rm -f out.img
        control vc "fault?where=flat&kind=$kind&count=2&after=3"
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(of "s['faults']")" = 0 ]
    done
}

@test "a login that was accepted before is tried again when it is refused, but not for ever" {
    vc
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    # The session is refused, and so is the login that follows.
    control vc 'fault?where=flat&kind=401&count=2'
    timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    [ "$(of "s['faults']")" = 0 ]
    grep -q 'refuses a login that it accepted before; retry 1 of 3' src.log
    control vc 'fault?where=flat&kind=401&count=100'
    refuses 'Operation not permitted' timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    grep -q 'refuses the user name or the password' src.log
    [ "$(grep -c 'refuses a login that it accepted before; retry' src.log)" = 3 ]
    control vc nofault
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "reads fail at once where a retry is of no use, and after the last retry" {
    vc
    serve disk=2000 retries=2
    for kind in 404 403 ignore-range; do
        control vc "fault?where=flat&kind=$kind&count=1"
        refuses "" timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
        [ "$(of "s['faults']")" = 0 ]
    done
    grep -q 'ignores Range requests' src.log
    control vc "fault?where=flat&kind=503&count=100"
    refuses "" timeout 60 qemu-io -r -f raw -c 'read 0 512' "$(uri src)"
    [ "$(grep -c 'retry . of 2' src.log)" -ge 2 ]
    control vc nofault
    # The whole disk did not come with the answer that ignored the range.
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "faults of the start: the snapshot that was made is removed" {
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

@test "another module fails to get ready: the snapshot is removed all the same" {
    vc
    refuses "" timeout 60 nbdkit -U - --filter=log "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" \
        logfile=/nonexistent/log --run true
    clean
}

@test "quiesce is passed on" {
    vc
    serve quiesce=yes
    [ "$(of "v['snapshots'][0]['quiesced']")" = True ]
    stop src
    serve
    [ "$(of "v['snapshots'][0]['quiesced']")" = False ]
}

reading() { [ "$(of "s['folder']['requests']")" -gt 5 ]; }

# nbdkit 1.32 itself waits for clients that are connected and silent.
@test "SIGTERM while a client reads, SIGINT without one: the snapshot is removed" {
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

@test "as a daemon: the parent leaves the snapshot to the child" {
    vc
    nbdkit -U "$PWD/src.sock" -P src.pid "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 3>&-
    [ "$(of "len(v['snapshots'])")" = 1 ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    clean
}

@test "kill -9 leaves the snapshot to the next run, which removes it first" {
    vc
    serve disk=2000
    stop src KILL
    [ "$(of "len(v['snapshots'])")" = 1 ]
    serve disk=2000
    grep -q 'removing the snapshot .* that an earlier run left' src.log
    [ "$(of "len(v['snapshots'])")" = 1 ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    no_snapshot
}

@test "nbdkit is aborted, which a client that goes may bring about: the snapshot is removed" {
    vc --delay-ms 50
    serve disk=2000 retry-delay=0.05
    nbdcopy --request-size=65536 "$(uri src)" null: 2> client.log 3>&- &
    local client=$!
    until_true 20 grep -q 'vsphere: pread count=65536 offset=[1-9]' src.log
    stop src ABRT
    wait $client || true
    grep -q 'warning: nbdkit is being aborted; the snapshot is removed first' src.log
    clean
    # The next run has nothing to clean up.
    serve disk=2000
    must_fail grep -q 'an earlier run left' src.log
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

# nbdkit 1.32 fails an assertion of its own when a client goes whom several threads are answering.
@test "a client goes without having read its answers: no snapshot is left behind" {
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
    # The data of all of them, but what is a hole, has been read.
    until_true 20 eval '[ "$(of "s[\"folder\"][\"bytes\"]")" -ge $((4 << 20)) ]'
    kill -KILL $client
    wait $client || true
    stop src
    clean
}

@test "a second nbdkit does not take the snapshot of one that runs for a leftover" {
    vc
    serve disk=2000
    refuses 'is being read by another nbdkit' timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 --run true
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "a server that hangs does not hang us: the read fails after its retries" {
    vc
    start src "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 retries=0
    control vc 'fault?where=flat&kind=stall&seconds=2&count=1'
    refuses "" timeout 30 qemu-io -r -f raw -c 'read 0 512' "$(uri src)"
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "no more HTTPS connections than allowed, and they are kept" {
    vc --delay-ms 20
    serve disk=2000 connections=2
    nbdcopy --connections=4 --request-size=262144 "$(uri src)" out.img
    same one.img out.img
    [ "$(of "s['threads']")" -le 8 ]
}
