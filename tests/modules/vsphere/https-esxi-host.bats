# SPDX-License-Identifier: BSD-3-Clause
#
# transport=https: reads directly from the ESXi host, and through vCenter where that is not possible.
load ../../lib
load ../../vcenter/vcenter
load vsphere
load https

# asked_of_host: prints how many requests the ESXi host has answered.
asked_of_host() { of "s['host_requests']"; }

@test "reads go directly to the ESXi host" {
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

@test "all disks are read directly, each with its own ticket" {
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

@test "tickets that are good for one request, tickets and sessions that expire" {
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

@test "a ticket that a read does not get is asked for as often as the read is tried" {
    vc --host
    control vc 'tickets?once=1'
    serve disk=2001 retries=2
    local asked
    asked=$(of "s['soap']['AcquireGenericServiceTicket']")
    control vc 'fault?where=AcquireGenericServiceTicket&kind=503&count=99'
    timeout 60 qemu-io -r -f raw -c 'read 0 512' "$(uri src)"
    [ "$(of "s['soap']['AcquireGenericServiceTicket'] - $asked")" = 3 ]
    through 'HTTP status 503'
}

@test "a ticket that cannot be asked for: the session of the reads is ended all the same" {
    vc --host
    control vc 'fault?where=RetrieveServiceContent&kind=SystemError&after=1' # the second one, of the client for tickets
    serve disk=2000 retries=0
    [ "$(of "s['faults']")" = 0 ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    clean
}

@test "temporary failures of the ESXi host are retried" {
    vc --host
    serve disk=2000
    for kind in reset 503 500 short shorter 401; do
        rm -f out.img
        control vc "fault?where=host&kind=$kind&count=1&after=3"
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(of "s['faults']")" = 0 ]
    done
    must_fail grep -q 'through' src.log
}

@test "an ESXi host that cannot be used: reads go through vCenter, and the log says why" {
    vc --host
    for kind in 401:refuses 403:'does not let this user' 404:'has no file' 503:'status 503' \
        ignore-range:'ignores Range'; do
        control vc "fault?where=host&kind=${kind%%:*}&count=3"
        serve disk=2001
        control vc nofault
        grep -Eq 'https through 127.0.0.1:[0-9]+, 4 connections' src.log
        through "${kind#*:}"
    done
    control vc 'fault?where=AcquireGenericServiceTicket&kind=NoPermission'
    serve disk=2001
    through 'lacks a privilege'
    control vc 'fault?where=AcquireGenericServiceTicket&kind=NotSupported'
    serve disk=2001
    through 'NotSupported'
}

# A connection of libcurl may have threads, which the child of a fork does not have: the end would wait for them.
@test "no connection is kept when nbdkit forks, also not to a host that cannot be used" {
    vc --host
    control vc "fault?where=host&kind=404&count=3"
    # After the fork, and before the watch of the snapshot asks for the first time.
    mkdir sync
    touch sync/vsphere.serve.hold
    REPLICATE_SYNC_DIR=$PWD/sync nbdkit -fv -U src.sock "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 > src.log 2>&1 3>&- &
    echo $! > src.pid
    until_true 60 test -e sync/vsphere.serve.held
    grep -q 'has no file' src.log
    /usr/bin/python3 -c '
import os, sys
pid = sys.argv[1]
links = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
rows = [line.split() for line in open(f"/proc/{pid}/net/tcp").readlines()[1:]]
assert rows
kept = [row for row in rows if f"socket:[{row[9]}]" in links]
assert not kept, kept' "$(cat src.pid)"
    rm sync/vsphere.serve.hold
    stop src
    clean
}

@test "an ESXi host with another certificate than the ticket names gets nothing: reads go through vCenter" {
    vc --host
    local right wrong
    right=$(of "s['host_thumbprint']")
    # The last byte alone is wrong.
    wrong="${right%?}$(tr 0-9A-F 1-9A-F0 <<< "${right: -1}")"
    control vc "tickets?thumbprint=$wrong"
    local asked
    asked=$(asked_of_host)
    serve disk=2001
    through "the certificate of 127.0.0.1:[0-9]* has the thumbprint $right, not $wrong"
    [ "$(asked_of_host)" = "$asked" ]
    control vc "tickets?thumbprint=$right"
    serve disk=2001
    grep -q 'directly from' src.log
}

@test "an ESXi host that fails during a copy: the rest goes through vCenter" {
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

@test "an ESXi host that does not answer: reads go through vCenter within seconds" {
    black_hole
    vc --host-name "127.0.0.1:$(cat hole.port)"
    serve disk=2001 timeout=5
    through 'does not answer'
}
