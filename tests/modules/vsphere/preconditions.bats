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

@test "cbt=off goes on without change tracking, and digests find what has changed" {
    vc --no-cbt
    once disk=2000 cbt=off -- 'nbdinfo "$uri"' | grep -F '"mode":"full","checkpoint":"","confirm":"connection"'
    [ "$(of "v['cbt']")" = False ]
    fails 'exclude each other' "${SERVER[@]}" "$TRUST" "$VM" cbt=off enable-cbt=yes
    # By delta: the whole disk once, then what differs.
    truncate -s 32M copy.raw
    for time in first second; do
        start src --filter="$DELTA" "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 cbt=off since=@web1.state \
            delta-digests=web1.digests delta-owed=web1.state
        nbdinfo --map --totals "$(uri src)" > totals
        nbdkit -U - --filter="$APPLY" file copy.raw apply-from="$(uri src)" apply-state=web1.state \
            --run 'nbdcopy --flush "'"$(uri src)"'" "$uri"'
        stop src
        same one.img copy.raw
        jq -e '.owed == [] and .source == "vsphere"' web1.state
        if [ "$time" = second ]; then awk '$3 == 0 { exit !($1 == 65536) }' totals; fi
        control vc 'write?disk=2000&offset=70000&length=512&byte=7'
    done
    no_snapshot
    clean
}

@test "tracking that was reset: digests tell what differs, and the rest is not copied again" {
    vc
    truncate -s 32M copy.raw
    for time in first second; do
        start src --filter="$DELTA" "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@web1.state \
            delta-digests=web1.digests delta-owed=web1.state
        nbdinfo --map --totals "$(uri src)" > totals
        nbdinfo "$(uri src)" > info
        nbdkit -U - --filter="$APPLY" file copy.raw apply-from="$(uri src)" apply-state=web1.state \
            --run 'nbdcopy --flush "'"$(uri src)"'" "$uri"'
        stop src
        same one.img copy.raw
        if [ "$time" = second ]; then
            grep '"mode":"delta","since":"'"$since"'"' info
            awk '$3 == 0 { exit !($1 == 65536) }' totals
            grep 'the whole disk 2000 is in the delta: changed block tracking was reset' src.log
        fi
        since=$(jq -r .checkpoint web1.state)
        control vc 'write?disk=2000&offset=70000&length=512&byte=7'
        control vc 'reset?disk=2000'
    done
    no_snapshot
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

# their_snapshot_untracked: a snapshot of somebody else. Tracking is turned on after it, and takes effect with the next one.
their_snapshot_untracked() {
    vc --no-cbt
    soap_login vc
    soap_snapshot vc vm-42 > theirs
    turn_on
    start far file one.img
    NBD=(disk=2000 transport=nbd nbd-uri="$(uri far)")
}

# turn_on: as an administrator does, who makes no snapshot after it.
turn_on() {
    soap vc ReconfigVM_Task VirtualMachine vm-42 \
        '<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>' | element returnval > task
    until_true 20 task_ended vc "$(cat task)"
}

@test "tracking that is on but not in effect does not begin over a snapshot of somebody else, nor is it used later" {
    their_snapshot_untracked
    local refusal='the snapshot '$(cat theirs)' ("test"), in which disk 2000 ("Hard disk 1") is not tracked'
    for cbt in enable-cbt=no enable-cbt=yes; do
        refuses "$refusal" once "${NBD[@]}" "$cbt" -- true
        [ "$(of "(v['taken'], len(v['snapshots']))")" = "(1, 1)" ]
    done
    once "${NBD[@]}" cbt=off -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    # That snapshot has stunned the machine: tracking is in effect now.
    for _ in first second; do
        refuses "$refusal" once "${NBD[@]}" enable-cbt=yes -- true
        [ "$(of "(v['taken'], len(v['snapshots']))")" = "(2, 1)" ]
    done
    # What the message says to do.
    control vc 'cbt?on=0'
    soap_remove vc "$(cat theirs)"
    once "${NBD[@]}" enable-cbt=yes -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    no_snapshot
}

@test "an older snapshot that is gone when it is looked into is no hindrance to tracking" {
    their_snapshot_untracked
    once "${NBD[@]}" cbt=off -- true
    control vc 'fault?where=RetrievePropertiesEx&kind=ManagedObjectNotFound&after=1' # when it is looked into
    once "${NBD[@]}" -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    [ "$(of "s['faults']")" = 0 ]
}

@test "tracking that was turned off and on does not begin over a snapshot of somebody else" {
    vc
    soap_login vc
    soap_snapshot vc vm-42
    control vc 'cbt?on=0'
    turn_on
    start far file one.img
    refuses 'has snapshots ("test")' once disk=2000 transport=nbd nbd-uri="$(uri far)" enable-cbt=yes -- true
    [ "$(of "(v['taken'], len(v['snapshots']))")" = "(2, 1)" ]
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

@test "an encrypted disk is refused over HTTPS before a snapshot is taken; other transports read it" {
    vc
    control vc 'backing?disk=2001&key=8a7f'
    fails 'disk 2001 ("Hard disk 2") of virtual machine web1 is encrypted, and only its ciphertext can be read over HTTPS: use transport=vddk, or name one of the other disks with disk=' \
        "${SERVER[@]}" "$TRUST" "$VM" transport=https
    fails 'over HTTPS: use transport=vddk' "${SERVER[@]}" "$TRUST" "$VM" transport=https disk=2001
    [[ "$output" != *'other disks'* ]]
    [ "$(of "v['taken']")" = 0 ]
    once disk=2000 transport=https -- 'nbdinfo --size "$uri"'
    start far file two.img
    once disk=2001 transport=nbd nbd-uri="$(uri far)" -- 'nbdcopy "$uri" out.img'
    same two.img out.img
    clean
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
