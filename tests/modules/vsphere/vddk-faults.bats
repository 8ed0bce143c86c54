# SPDX-License-Identifier: BSD-3-Clause
#
# transport=vddk: calls of VMware's library that fail or hang.
load ../../lib
load ../../vcenter/vcenter
load vsphere
load one-disk
load vddk

@test "a disk that VDDK refuses to open is an error with advice" {
    vc
    standin
    expect thumbprint AA:BB
    fails 'VixDiskLib_Open: Unknown error (error 1): VDDK reports this for a wrong thumbprint=' "${VDDK[@]}"
    fails 'if the host is of a version that this VDDK does not support' "${VDDK[@]}"
    wrong ConnectEx 0 1 error 1
    fails 'VixDiskLib_ConnectEx: Unknown error (error 1): VDDK reports this if the server is of a version that this VDDK does not support' "${VDDK[@]}"
    expect password other
    timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "${VDDK[@]}" --run true > refused.log 2>&1 || true
    grep -q 'VixDiskLib_ConnectEx: Cannot authenticate the user or password (error 35): check user= and password=' refused.log
    expect path elsewhere
    fails 'VixDiskLib_Open: A file was not found (error 4): the disk does not exist' "${VDDK[@]}"
    expect user administrator@vsphere.local
    wrong InitEx 0 1 error 3
    fails 'VixDiskLib_InitEx: One of the parameters was invalid (error 3)' "${VDDK[@]}"
    wrong Open 0 1 crash
    fails 'the VDDK helper process was killed by signal 11' "${VDDK[@]}"
    wrong ConnectEx 0 1 leave
    fails 'the VDDK helper process ended with status 3' "${VDDK[@]}"
    truncate -s 8M standin/disk
    fails 'VDDK sees 8388608 bytes, but the disk has 16777216' "${VDDK[@]}"
    once "${VDDK[@]}" -- true || true
    clean
}

@test "reads that fail are retried, with a new helper if they fail twice; permanent errors are not" {
    vc
    standin
    serve "${VDDK[@]}" retries=3
    for fault in 'ReadAsync 2 1 error 14009' 'ReadAsync.callback 2 1 error 2' 'ReadAsync 3 1 crash' \
            'ReadAsync.callback 1 1 crash' 'ReadAsync.callback 0 1 leave'; do
        wrong $fault
        rm -f out.img
        timeout 60 nbdcopy "$(uri src)" out.img
        same one.img out.img
        [ "$(cut -d' ' -f1,2 "standin/faults/${fault%% *}")" = "0 0" ]
    done
    local started
    started=$(calls InitEx)
    # The same handle once more, then a new one.
    wrong ReadAsync 0 2 error 14009
    timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    [ "$(calls InitEx)" -gt "$started" ]
    wrong ReadAsync 0 100 error 14009
    refuses 'Input/output error' timeout 60 qemu-io -r -f raw -c 'read 64k 64k' "$(uri src)"
    grep -q 'error: transport vddk: cannot read .* bytes at offset 65536 of \[datastore1\] web1/web1.vmdk on 127.0.0.1:.*: The server refused connection (error 14009)' src.log
    wrong ReadAsync 0 1 error 13
    refuses 'Input/output error' timeout 60 qemu-io -r -f raw -c 'read 64k 64k' "$(uri src)"
    [ "$(cut -d' ' -f2 standin/faults/ReadAsync)" = 0 ]
    rm standin/faults/*
    rm -f out.img
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    stop src
    orderly
    clean
}

@test "the disk is read even if VDDK refuses QueryAllocatedBlocks and PrepareForAccess" {
    vc
    standin
    wrong QueryAllocatedBlocks 0 1 error 3
    wrong PrepareForAccess 0 2 error 6
    serve "${VDDK[@]}"
    # Then change tracking tells it.
    [ "$(map "$(uri src)" | head -2)" = "0 4194304 0
4194304 6291456 3" ]
    nbdcopy "$(uri src)" out.img
    same one.img out.img
    grep -q 'VDDK cannot list the allocated blocks of .*One of the parameters was invalid (error 3)' src.log
    grep -q 'warning: Storage vMotion may move' src.log
    stop src
    orderly
}

@test "a request that VDDK does not answer within timeout= is retried with a new helper" {
    vc
    standin
    serve "${VDDK[@]}" timeout=5
    wrong ReadAsync 0 1 hang
    timeout 60 nbdcopy "$(uri src)" out.img
    same one.img out.img
    grep -q 'VDDK did not answer within 5000 ms, and its helper was killed; retry 1 of 3' src.log
    stop src
    orderly
}
