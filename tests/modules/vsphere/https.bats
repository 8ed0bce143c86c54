# SPDX-License-Identifier: BSD-3-Clause
#
# transport=https: sessions, connections, and the names of files.
load ../../lib
load ../../vcenter/vcenter
load vsphere

# two_of_a_kind: the disk of vm-42, "[one] two] web1/web1.vmdk", is one.img on datastore "one] two". Parsed
# as a path on datastore "one" it is the disk of vm-43, which has the same size.
two_of_a_kind() {
    random_file one.img 1M 3
    vc_with --vm /DC0/vm/web1=vm-42 --disk 2000=one.img --vm-datastore 'one] two' \
        --vm /DC0/vm/copies/web1=vm-43 --disk 2000=two.img --vm-datastore one \
        --vm-directory 'two] web1' "$@"
    control vc 'power?vm=vm-43&on=0' # so that it could be read at any time
}

@test "a session that expires under several reads is renewed once" {
    vc
    serve disk=2000 connections=8
    local round logins
    nbdcopy "$(uri src)" null:
    for round in 1 2 3; do
        logins=$(of "s['logins']")
        control vc expire
        control vc 'gather?requests=8' # all of them have the old session
        rm -f out.img
        nbdcopy --connections=8 --request-size=262144 "$(uri src)" out.img
        same one.img out.img
        # One for the reads, and one for the question whether the snapshot is still there.
        [ "$(of "s['logins'] - $logins")" = 2 ]
    done
    stop src
    clean
}

@test "names of datastores and directories may contain '] '" {
    local says host
    for host in '' --host; do
        two_of_a_kind $host
        for says in 1 0; do
            control vc "backing?vm=vm-42&datastore=$says"
            control vc "backing?vm=vm-43&datastore=$says"
            VM=vm=moref=vm-42 once -- 'nbdcopy "$uri" one.out'
            same one.img one.out
            VM=vm=moref=vm-43 once -- 'nbdcopy "$uri" two.out'
            same two.img two.out
            rm one.out two.out
        done
        clean
        stop vc
    done
}

@test "connections= limits the concurrent requests" {
    vc --host
    for n in 8 1 3; do
        serve disk=2000 connections=$n
        control vc "gather?requests=$n"
        nbdcopy --connections=8 --threads=8 --request-size=262144 "$(uri src)" out.img
        same one.img out.img
        [ "$(of "s['folder']['most_at_once']")" = $n ]
        rm out.img
        stop src
    done
}

@test "what was read is logged at the end" {
    vc
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    control vc 'fault?where=flat&kind=503&count=2'
    timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    stop src
    grep -Eq 'read [0-9]+ bytes in [0-9]+ requests, 0 failed, 2 retries' src.log
}

@test "server= is the ESXi host itself" {
    start_vcenter vc --esxi --vm /ha-datacenter/vm/web1=12 --disk 2000=one.img --page 4M --task-ms 20
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass"
            retry-delay=0.05)
    TRUST=cafile=$(vcenter_fact vc cafile)
    for VM in vm=ha-datacenter/vm/web1 vm=web1 vm=moref=12; do
        once -- 'nbdcopy "$uri" out.img; nbdinfo --json "$uri"' > info
        same one.img out.img
        grep -q '\\"vm\\":\\"12\\"' info
        rm out.img
    done
    start src "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM"
    refuses 'is being read by another nbdkit' once -- true
    stop src
    must_fail grep -q 'directly' src.log
    [ "$(control vc state | jq '.sessions + (.vms."12".snapshots | length)')" = 0 ]
}

@test "a server that refuses some of the connections is read by those that it serves" {
    vc
    # One for the API, one for the data.
    "$SOURCE/tests/modules/vsphere/forward.py" 0 "${SERVER[0]##*:}" 2 > forward.log 2>&1 3>&- &
    echo $! > forward.pid
    until_true 20 grep -q 'listening [0-9]' forward.log
    SERVER[0]=server=127.0.0.1:$(awk '{print $2}' forward.log)
    serve disk=2000 connections=4 retries=10
    # The first of the two reads has the connection that was served before.
    qemu-io -r -f raw -c 'read 0 512' "$(uri src)"
    control vc 'hold?offset=0&length=8388608'
    timeout 600 qemu-io -r -f raw -c 'aio_read 0 64k' -c 'aio_read 4M 64k' -c aio_flush "$(uri src)" 3>&- &
    local reads=$!
    until_true 20 grep -q 'refuses the others' src.log
    control vc release
    wait $reads
    grep -q 'warning: 127.0.0.1:[0-9]* serves 1 of 4 connections and refuses the others' src.log
    grep -q 'retry 1 of 10' src.log
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ "$(grep -c 'refuses the others' src.log)" = 1 ]
}
