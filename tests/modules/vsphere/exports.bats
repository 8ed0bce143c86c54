# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. The exports: their bytes, extents and descriptions.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "a whole disk: its bytes, extents and description; no snapshot is left" {
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
    refuses "" timeout 60 nbdinfo "$(uri src 2002)"
    grep -q 'no export "2002": the first one is "2000"' src.log
}

@test "disk= is a key, a position or a label; without it all disks are exports" {
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

@test "the manual's example: copy a disk to a file with --run" {
    vc
    once disk=2000 -- 'nbdcopy "$uri" web1.img'
    same one.img web1.img
    clean
}
