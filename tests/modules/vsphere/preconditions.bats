# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. What must be true of a machine and its disks before a snapshot is taken.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "change tracking is off: an error, unless enable-cbt=yes turns it on" {
    vc --no-cbt
    fails 'enable-cbt=yes turns it on' "${SERVER[@]}" "$TRUST" "$VM"
    [ "$(of "v['taken']")" = 0 ]
    once disk=2000 enable-cbt=yes -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    [ "$(of "v['cbt']")" = True ]
    once disk=2000 -- 'nbdinfo --size "$uri"'
    clean
}

@test "a machine with a snapshot of somebody else is refused, and the snapshot stays" {
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

# refused REASON: disk 2001 is refused with that reason.
refused() {
    fails "disk 2001 (\"Hard disk 2\") of virtual machine web1 cannot be read: $1" \
        "${SERVER[@]}" "$TRUST" "$VM" disk=2001
}

# left_out REASON: and left out if no disk= is given.
left_out() {
    refused "$1"
    once -- 'nbdinfo --list "$uri"' > exports 2> warning
    [ "$(grep -c '^export=' exports)" = 1 ]
    grep -q "warning: disk 2001 .* is left out: $1" warning
    clean
}

@test "independent, raw and shared disks are refused, and left out where all are served" {
    vc
    control vc 'mode?disk=2001&mode=independent_nonpersistent'
    refused 'it is an independent disk'
    control vc 'mode?disk=2001&mode=independent_persistent'
    left_out 'it is an independent disk'
    control vc 'mode?disk=2001&mode=persistent'
    control vc 'backing?disk=2001&rdm=physicalMode'
    refused 'it is a raw device mapping in physical mode'
    control vc 'backing?disk=2001&rdm=virtualMode'
    refused 'it is a raw device mapping: its data is not in a file'
    control vc 'backing?disk=2001&sharing=sharingMultiWriter'
    refused 'it is shared with other virtual machines (multi-writer)'
    control vc 'backing?disk=2001&sharing=sharingNone'
    for sharing in physicalSharing virtualSharing; do
        control vc "bus?sharing=$sharing"
        fails "shares the SCSI bus with other virtual machines ($sharing)" "${SERVER[@]}" "$TRUST" "$VM"
    done
    control vc 'bus?sharing=noSharing'
    once disk=2001 -- 'nbdinfo --size "$uri"'
}

@test "a template is refused" {
    vc
    control vc 'template?on=1'
    fails 'web1 is a template' "${SERVER[@]}" "$TRUST" "$VM"
    [ "$(of "v['taken']")" = 0 ]
}

@test "a chain of files without a snapshot: what to do is said before a snapshot is taken" {
    vc
    control vc 'consolidation?needed=1&chain=1'
    fails 'is a chain of files, which cannot be read over HTTPS: its disks need consolidation (in vSphere: Snapshots, Consolidate)' \
        "${SERVER[@]}" "$TRUST" "$VM" disk=2000
    control vc 'consolidation?needed=0&chain=1'
    fails 'it is a linked clone, or its disks need consolidation' "${SERVER[@]}" "$TRUST" "$VM" disk=2000
    [ "$(of "v['taken']")" = 0 ]
}
