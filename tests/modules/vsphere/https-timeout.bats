# SPDX-License-Identifier: BSD-3-Clause
#
# transport=https: servers that do not answer.
load ../../lib
load ../../vcenter/vcenter
load vsphere
load https

@test "a vCenter that does not answer is an error within seconds" {
    black_hole
    refuses 'does not answer' timeout 60 nbdkit -U - "$VSPHERE" server="127.0.0.1:$(cat hole.port)" \
        user=u password=p insecure=yes vm=web1 timeout=1 retry-delay=0.05 --run true
}

@test "a read that stalls is retried, then fails with the offset, the file and the server" {
    vc
    serve disk=2000 timeout=5 retries=1
    control vc 'fault?where=flat&kind=stall&seconds=20&count=1'
    timeout 60 qemu-io -r -f raw -c 'read 0 64k' "$(uri src)"
    grep -q 'does not answer.*retry 1 of 1' src.log
    control vc 'fault?where=flat&kind=stall&seconds=20&count=2'
    refuses '' timeout 60 qemu-io -r -f raw -c 'read 128k 64k' "$(uri src)"
    grep -Eq 'error: reading 65536 bytes at offset 131072 of \[datastore1\] web1/web1-flat.vmdk over https from 127.0.0.1:[0-9]+: .*does not answer' src.log
    control vc nofault
    stop src
    serve disk=2000
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "timeout= out of range is refused" {
    vc
    fails 'timeout=0' "${SERVER[@]}" "$TRUST" "$VM" timeout=0
    fails 'timeout=601' "${SERVER[@]}" "$TRUST" "$VM" timeout=601
}
