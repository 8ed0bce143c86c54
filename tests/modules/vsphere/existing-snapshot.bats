# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. snapshot=current and snapshot=MOREF: a snapshot of somebody else is read.
load ../../lib
load ../../vcenter/vcenter
load vsphere

# their_snapshot: takes a snapshot as another user; prints its moref.
their_snapshot() {
    [ -e vc.cookies ] || soap_login vc > login.xml
    soap_snapshot vc vm-42
}

@test "the snapshot is read, and stays" {
    vc
    local theirs
    theirs=$(their_snapshot)
    cp --sparse=always one.img then.img
    control vc 'write?disk=2000&offset=0&length=65536&byte=7'
    for snapshot in current "$theirs"; do
        serve disk=2000 snapshot="$snapshot"
        nbdcopy "$(uri src)" out.img
        same then.img out.img
        [ "$(map "$(uri src)" | head -1)" = "0 4194304 0" ]
        # A second nbdkit may read it at the same time.
        once disk=2001 snapshot="$snapshot" -- 'nbdcopy "$uri" out2.img'
        same two.img out2.img
        stop src
        [ "$(of "[one['moref'] for one in v['snapshots']]")" = "['$theirs']" ]
        [ "$(of "s['sessions']")" = 1 ] # the test's own
    done
    [ "$(of "v['taken']")" = 1 ]
    soap_remove vc "$theirs"
}

@test "since= up to the snapshot" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'write?disk=2000&offset=1048576&length=65536&byte=7'
    local theirs
    theirs=$(their_snapshot)
    control vc 'write?disk=2000&offset=2097152&length=65536&byte=7'
    once disk=2000 since="$(cat id)" snapshot=current -- 'nbdinfo --map "$uri"' |
        awk '$3 == 0 {print $1, $2}' > map
    [ "$(cat map)" = "1048576 65536" ]
    soap_remove vc "$theirs"
}

@test "a snapshot that cannot be read is refused, with a list of the snapshots" {
    vc
    local first second
    refuses 'has no such snapshot; it has none' once disk=2000 snapshot=current -- true
    first=$(their_snapshot)
    second=$(their_snapshot)
    refuses "it has $first (\"test\"), $second (\"test\")" once disk=2000 snapshot=snapshot-9 -- true
    # Only in the oldest snapshot the disks are not chains of files.
    refuses "only the machine's oldest snapshot can be read" once disk=2000 snapshot=current -- true
    once disk=2000 snapshot="$first" -- 'nbdcopy "$uri" out.img'
    same one.img out.img
    refuses 'is of use only with snapshot=create' once snapshot=current quiesce=yes -- true
    refuses 'is of use only with snapshot=create' once snapshot=current enable-cbt=yes -- true
    refuses 'must be create, current or a moref' once snapshot= -- true
    soap_remove vc "$second"
    soap_remove vc "$first"
}

@test "a snapshot of this plugin is refused" {
    vc
    serve disk=2000
    refuses 'belongs to a run of nbdkit, which removes it' once disk=2001 snapshot=current -- true
    nbdcopy "$(uri src)" out.img
    same one.img out.img
}

@test "a snapshot from before change tracking is refused" {
    vc --no-cbt
    local theirs
    theirs=$(their_snapshot)
    control vc 'cbt?on=1'
    refuses 'was not tracked when "test" was made' once disk=2000 snapshot=current -- true
    soap_remove vc "$theirs"
}
