# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin's transport https: its sessions and connections, through vCenter and directly from
# the ESXi host.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "a session that expires under several reads is renewed once" {
    vc --delay-ms 30
    serve disk=2000 connections=8
    local round logins
    nbdcopy "$(uri src)" null:
    for round in 1 2 3; do
        logins=$(of "s['logins']")
        control vc expire
        rm -f out.img
        nbdcopy --connections=8 --request-size=262144 "$(uri src)" out.img
        same one.img out.img
        # One for the reads, and one for the question whether the snapshot is still there.
        [ "$(of "s['logins'] - $logins")" = 2 ]
    done
    stop src
    clean
}

# asked_of_host: how many requests the ESXi host has answered.
asked_of_host() { of "s['host_requests']"; }

@test "directly from the ESXi host: the bytes do not go through vCenter" {
    vc --host
    serve disk=2000
    grep -Eq 'https directly from 127.0.0.1:[0-9]+, 4 connections' src.log
    local before all
    before=$(asked_of_host) all=$(of "s['folder']['requests']")
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ $(($(asked_of_host) - before)) = $(($(of "s['folder']['requests']") - all)) ]
    [ "$(of "s['tickets']")" -le 2 ]
    [ "$(of "s['sessions']")" = 2 ] # that of the API, and that of the reads
    stop src
    clean
}

# two_of_a_kind: vm-42's "[one] two] web1/web1.vmdk" is one.img, on datastore "one] two". Read as on
# datastore "one" it would be the disk of vm-43, which is as large, and has that very name.
two_of_a_kind() {
    random_file one.img 1M 3
    vc_with --vm /DC0/vm/web1=vm-42 --disk 2000=one.img --vm-datastore 'one] two' \
        --vm /DC0/vm/copies/web1=vm-43 --disk 2000=two.img --vm-datastore one \
        --vm-directory 'two] web1' "$@"
    control vc 'power?vm=vm-43&on=0' # so that it could be read at any time
}

@test "names of datastores and directories that have in them what ends the name of a datastore" {
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

@test "directly from the ESXi host: all disks, each with its own ticket" {
    vc --host
    serve
    nbdcopy "$(uri src)" one.out
    nbdcopy "$(uri src 2001)" two.out
    same one.img one.out
    same two.img two.out
    must_fail grep -q 'through' src.log
    stop src
    clean
}

@test "tickets that are good for one request only, tickets and sessions that expire" {
    vc --host
    control vc 'tickets?once=1'
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    [ "$(of "s['tickets']")" -gt 5 ]
    grep -q 'directly from' src.log
    control vc expire
    rm out.img
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    must_fail grep -q 'through' src.log
    stop src
    clean

    control vc 'tickets?once=0'
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    control vc expire
    rm out.img
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    must_fail grep -q 'through' src.log
    stop src
    clean
}

@test "the ESXi host: what may pass is tried again" {
    vc --host
    serve disk=2000
    for kind in reset 503 500 short 401; do
        rm -f out.img
        control vc "fault?where=host&kind=$kind&count=1&after=3"
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(of "s['faults']")" = 0 ]
    done
    must_fail grep -q 'through' src.log
}

# through REASON: the reads went through vCenter, and why is told.
through() {
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    grep -q "is read through 127.0.0.1:[0-9]*.*$1\|$1.* it is read through 127.0.0.1" src.log
    rm out.img
    stop src
    clean
}

@test "the ESXi host cannot be used: through vCenter, and why is told" {
    vc --host
    for kind in 401:refuses 403:'does not let this user' 404:'has no file' 503:'status 503' \
        ignore-range:'ignores Range'; do
        control vc "fault?where=host&kind=${kind%%:*}&count=3"
        serve disk=2000
        control vc nofault
        grep -Eq 'https through 127.0.0.1:[0-9]+, 4 connections' src.log
        through "${kind#*:}"
    done
    control vc 'fault?where=AcquireGenericServiceTicket&kind=NoPermission'
    serve disk=2000
    through 'lacks a privilege'
    control vc 'fault?where=AcquireGenericServiceTicket&kind=NotSupported'
    serve disk=2000
    through 'NotSupported'
}

@test "the ESXi host fails in the middle: the rest goes through vCenter" {
    vc --host
    for kind in 503 404 403; do
        serve disk=2000 retries=1
        control vc "fault?where=host&kind=$kind&count=100&after=3"
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(grep -c 'warning: .*over https from 127.0.0.1:.*from now on it is read through' src.log)" = 1 ]
        rm out.img
        stop src
        control vc nofault
        clean
    done
}

# A server that takes connections and says nothing: its port is in hole.port.
black_hole() {
    /usr/bin/python3 -c '
import os, socket, time
hole = socket.create_server(("127.0.0.1", 0))
with open("hole.new", "w") as file:
    file.write(str(hole.getsockname()[1]))
os.rename("hole.new", "hole.port")
time.sleep(600)' 3>&- &
    echo $! > hole.pid
    until_true 20 test -e hole.port
}

@test "an ESXi host that is a black hole: through vCenter, soon" {
    black_hole
    vc --host-name "127.0.0.1:$(cat hole.port)"
    local begin=$SECONDS
    serve disk=2000 timeout=2
    [ $((SECONDS - begin)) -lt 15 ]
    through 'does not answer'
}

@test "a vCenter that is a black hole is an error, soon" {
    black_hole
    local begin=$SECONDS
    refuses 'does not answer' timeout 60 nbdkit -U - "$VSPHERE" server="127.0.0.1:$(cat hole.port)" \
        user=u password=p insecure=yes vm=web1 timeout=2 retry-delay=0.05 --run true
    [ $((SECONDS - begin)) -lt 15 ]
}

@test "a server that stalls: the read is given up, tried again, and fails with all one wants to know" {
    vc
    serve disk=2000 timeout=2 retries=1
    control vc 'fault?where=flat&kind=stall&seconds=20&count=1'
    timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    grep -q 'does not answer.*retry 1 of 1' src.log
    control vc 'fault?where=flat&kind=stall&seconds=20&count=2'
    refuses '' timeout 60 qemu-io -r -f raw -c 'read 128k 64k' "$(uri src)"
    grep -Eq 'error: reading 65536 bytes at offset 131072 of \[datastore1\] web1/web1-flat.vmdk over https from 127.0.0.1:[0-9]+: .*does not answer' src.log
    control vc nofault
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "timeout= is checked" {
    vc
    fails 'timeout=0' "${SERVER[@]}" "$TRUST" "$VM" timeout=0
    fails 'timeout=601' "${SERVER[@]}" "$TRUST" "$VM" timeout=601
}

@test "connections=: as many at once as allowed, and no more" {
    vc --host --delay-ms 30
    for n in 1 3 8; do
        serve disk=2000 connections=$n
        nbdcopy --connections=8 --threads=8 --request-size=262144 "$(uri src)" out.img
        same one.img out.img
        [ "$(of "s['folder']['most_at_once']")" = $n ]
        rm out.img
        stop src
    done
}

@test "what was read is told at the end" {
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
