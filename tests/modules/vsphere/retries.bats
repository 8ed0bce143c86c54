# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. Sessions, retries and timeouts over HTTPS.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "an expired session is renewed, also to remove the snapshot" {
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

@test "a read is retried after a broken connection, a server error, a short answer, a 401" {
    vc
    serve disk=2000
    for kind in reset 503 500 short shorter 401; do
        rm -f out.img
        control vc "fault?where=flat&kind=$kind&count=2&after=3"
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(of "s['faults']")" = 0 ]
    done
    grep -Eq '127.0.0.1:[0-9]+ sent [0-9]+ of [0-9]+ bytes at offset [0-9]+ of .*retry 1 of 3' src.log
}

@test "a login that is refused after it was accepted is retried a few times" {
    vc
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    # The session is refused, and the login that follows is refused too.
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

@test "a read fails at once if a retry is useless, and after the last retry" {
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
    # The connection still works after the answer that was cut off.
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
