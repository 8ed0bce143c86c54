# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. Change tracking that has no answer: each fault of QueryChangedDiskAreas.
load ../../lib
load ../../vcenter/vcenter
load vsphere

CBT=vim.hostd.vmsvc.cbt

# ordered FAULT [COUNT [AFTER]]: makes QueryChangedDiskAreas fail.
ordered() { control vc "fault?where=QueryChangedDiskAreas&count=${2:-1}&after=${3:-0}&kind=$1"; }

# a_checkpoint: writes the changeId of a full copy's snapshot to id.
a_checkpoint() {
    once disk=2001 -- 'nbdinfo --json "$uri"' | /usr/bin/python3 -c '
import json, sys
print(json.loads(json.load(sys.stdin)["exports"][0]["description"])["checkpoint"])' > id
}

# full_or_fail FAULT COUNT TEXT: with this fault of the query of changes, on-reset=full serves the whole
# disk with a warning, and on-reset=fail does not start.
full_or_fail() {
    ordered "$1" "$2"
    once disk=2001 since="$(cat id)" on-reset=full -- 'nbdinfo "$uri"; nbdinfo --map "$uri"' > full 2> warning
    grep -q '"mode":"full"' full
    grep -q ' 1048576 *0 ' full
    grep -q 'warning: the whole disk 2001 is in the delta: ' warning
    grep -q "$3" warning
    ordered "$1" "$2"
    fails 'on-reset=full copies all' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)" on-reset=fail
    [[ "$output" == *"$3"* ]]
}

@test "a FileFault of change tracking, by its key: full or fail" {
    vc
    a_checkpoint
    for key in noTrack noEpoch cannotGetChanges; do
        full_or_fail "FileFault&key=$CBT.$key" 1 'FileFault'
    done
    full_or_fail "FileFault&key=$CBT.cannotGetChanges&message=the%20change%20file%20is%20corrupt" 1 \
        'turn changed block tracking off and on in vSphere'
}

@test "a FileFault of another kind is retried; then full or fail" {
    vc
    a_checkpoint
    ordered 'FileFault&key=vim.file.locked' 3
    once disk=2001 since="$(cat id)" -- 'nbdinfo "$uri"' 2> log | grep -q '"mode":"delta"'
    full_or_fail 'FileFault&key=vim.file.locked' 4 'the host cannot use a file of the disk'
}

@test "InvalidArgument: of the changeId, full or fail; of another argument, an error" {
    vc
    a_checkpoint
    full_or_fail 'InvalidArgument&key=changeId' 1 'InvalidArgument'
    for property in startOffset deviceKey; do
        ordered "InvalidArgument&key=$property"
        fails "$property" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)"
    done
    ordered InvalidArgument
    fails 'InvalidArgument' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)"
}

@test "the object is gone, or a privilege is missing: an error, whatever on-reset says" {
    vc
    a_checkpoint
    for kind in NotFound:'no such object' ManagedObjectNotFound:'the object is gone' \
        NoPermission:'lacks a privilege'; do
        ordered "${kind%%:*}"
        fails "${kind#*:}" "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)"
    done
}

@test "the session expires between two pages: one new login" {
    vc
    a_checkpoint
    local logins
    logins=$(of "s['logins']")
    ordered NotAuthenticated 1 2
    once disk=2000 -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    [ "$(of "s['logins'] - $logins")" = 3 ] # the first, the new one, and that of the reads
    ordered NotAuthenticated 2
    refuses 'the session has expired' once disk=2001 -- true
    [ "$(of "v['taken']")" = 3 ]
}

@test "a SystemError: the page is retried, not the whole query" {
    vc
    ordered SystemError 3 6
    once disk=2000 retries=3 -- 'nbdcopy "$uri" out.img' 2> log
    same one.img out.img
    # 8 pages of 4 MiB, and the three that failed.
    [ "$(of "s['soap']['QueryChangedDiskAreas']")" = 11 ]
    ordered SystemError 4
    fails 'SystemError' "${SERVER[@]}" "$TRUST" "$VM" disk=2000
}

@test "the allocation is not known: everything is read" {
    vc
    for fault in "FileFault&key=$CBT.noEpoch" 'InvalidArgument&key=changeId' "FileFault&key=$CBT.noTrack"; do
        ordered "$fault"
        once disk=2000 -- 'nbdinfo --map "$uri"' 2> warning | awk '{print $1, $2, $3}' > map
        [ "$(cat map)" = "0 33554432 0" ]
        grep -q 'which blocks are allocated is not known' warning
    done
}

@test "the allocation is not known: what has changed is data, never zero" {
    vc
    once disk=2000 -- 'nbdinfo --json "$uri"' | /usr/bin/python3 -c '
import json, sys
print(json.loads(json.load(sys.stdin)["exports"][0]["description"])["checkpoint"])' > id
    control vc 'unmap?disk=2000&offset=0&length=131072'
    ordered "FileFault&key=$CBT.noEpoch" 1 8
    once disk=2000 since="$(cat id)" -- 'nbdinfo --map "$uri"' 2> warning | awk '{print $1, $2, $3}' > map
    [ "$(head -1 map)" = "0 131072 0" ]
    [ "$(sed -n 2p map)" = "131072 33423360 1" ]
}

@test "tracking was turned off and on: the changeId is of another period" {
    vc
    a_checkpoint
    control vc 'cbt?on=0'
    control vc 'cbt?on=1'
    once disk=2001 since="$(cat id)" -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'changed block tracking was reset' warning
    fails 'was reset' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since="$(cat id)" on-reset=fail
}

@test "the disk has grown" {
    vc
    a_checkpoint
    state_file state "$(cat id)" vm-42 2001 1048576
    control vc 'grow?disk=2001&size=2097152'
    once disk=2001 since=@state -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'had 1048576 bytes and has 2097152 now' warning
    fails 'on-reset=full' "${SERVER[@]}" "$TRUST" "$VM" disk=2001 since=@state on-reset=fail
}
