# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. since= and on-reset=: what has changed since a checkpoint.
load ../../lib
load ../../vcenter/vcenter
load vsphere

@test "what the guest wrote is data, what it trimmed is zero, the rest is not in the delta" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'write?disk=2000&offset=17000000&length=70000&byte=0x5a'
    control vc 'unmap?disk=2000&offset=1048576&length=131072'
    for since in "$(cat id)" @state; do
        state_file state "$(cat id)"
        serve disk=2000 since="$since"
        map "$(uri src)" > map
        diff map - <<'MAP'
0 1048576 1
1048576 131072 3
1179648 15794176 1
16973824 131072 0
17104896 16449536 1
MAP
        nbdinfo "$(uri src)" | grep -q '"mode":"delta"'
        # Reads return the bytes of the disk everywhere.
        nbdcopy "$(uri src)" out.img
        same one.img out.img
        stop src
        clean
    done
    once disk=2000 since="$(cat id)" -- 'nbdinfo --map --totals "$uri"' | grep -q ' 131072 .* 0 '
}

@test "nothing has changed; the state file does not exist yet, or has no checkpoint" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    once disk=2000 since="$(cat id)" -- 'nbdinfo --map "$uri"' | awk '{print $1, $2, $3}' > map
    [ "$(cat map)" = "0 33554432 1" ]
    once disk=2000 since=@none -- 'nbdinfo "$uri"' | grep -q '"mode":"full"'
    state_file empty ""
    once disk=2000 since=@empty -- 'nbdinfo "$uri"' | grep -q '"mode":"full"'
}

@test "a state of another machine or disk is refused; several disks need disk=" {
    vc
    state_file other_vm "52 aa/1" vm-43
    fails 'that state is of vsphere vm-43 disk 2000' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@other_vm
    state_file other_disk "52 aa/1" vm-42 2001
    fails 'disk 2001' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@other_disk
    state_file good "52 aa/1"
    fails 'say which with disk=' "${SERVER[@]}" "$TRUST" "$VM" since=@good
}

@test "a directory has a state for each disk" {
    vc
    mkdir states
    # Nothing is known of either disk, also if the directory does not exist yet.
    for since in @states @none/; do
        once since=$since -- 'nbdinfo --list "$uri"' | grep -c '"mode":"full"' > full
        [ "$(cat full)" = 2 ]
    done
    serve
    local first second
    first=$(checkpoint "$(uri src)")
    second=$(checkpoint "$(uri src 2001)")
    stop src
    control vc 'write?disk=2000&offset=65536&length=65536&byte=0x41'
    control vc 'write?disk=2001&offset=131072&length=65536&byte=0x42'

    state_file states/2000.state "$first"
    # One disk has a state, the other does not.
    serve since=@states
    [ "$(map "$(uri src 2000)")" = "0 65536 1
65536 65536 0
131072 33423360 1" ]
    nbdinfo "$(uri src 2001)" | grep -q '"mode":"full"'
    stop src
    # Both have one; other files in the directory are ignored.
    state_file states/2001.state "$second" vm-42 2001 1048576
    echo nonsense > states/web1.state
    serve since=@states/
    [ "$(map "$(uri src 2001)")" = "0 131072 1
131072 65536 0
196608 851968 1" ]
    nbdinfo "$(uri src 2000)" | grep -q '"mode":"delta"'
    stop src
    once disk=2001 since=@states -- 'nbdinfo "$uri"' | grep -q '"mode":"delta"'
    # A state of another machine, or of another disk than its name says.
    state_file states/2001.state "$second" vm-43 2001 1048576
    fails 'that state is of vsphere vm-43 disk 2001' "${SERVER[@]}" "$TRUST" "$VM" since=@states
    state_file states/2001.state "$second" vm-42 2000 1048576
    fails '2001.state is the state of disk 2000' "${SERVER[@]}" "$TRUST" "$VM" since=@states
}

@test "tracking was reset, or the disk has grown: on-reset=full and fail" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'reset?disk=2000'
    once disk=2000 since="$(cat id)" -- 'nbdinfo "$uri"; nbdinfo --map "$uri"' > full 2> warning
    grep -q '"mode":"full"' full
    grep -q ' 4194304 *12582912 *3' full
    grep -q 'warning: the whole disk 2000 is in the delta: .*was reset' warning
    fails 'on-reset=full copies all of it' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 \
        since="$(cat id)" on-reset=fail

    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'grow?disk=2000&size=34603008'
    state_file state "$(cat id)"
    once disk=2000 since=@state -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'had 33554432 bytes and has 34603008 now' warning
    fails 'on-reset=full' "${SERVER[@]}" "$TRUST" "$VM" disk=2000 since=@state on-reset=fail
}

@test "a FileFault of the query of changes, or of what is allocated" {
    vc
    serve disk=2000
    checkpoint "$(uri src)" > id
    stop src
    control vc 'fault?where=QueryChangedDiskAreas&kind=FileFault&key=vim.hostd.vmsvc.cbt.cannotGetChanges'
    once disk=2000 since="$(cat id)" -- 'nbdinfo "$uri"' 2> warning | grep -q '"mode":"full"'
    grep -q 'the whole disk 2000 is in the delta' warning
    control vc 'fault?where=QueryChangedDiskAreas&kind=FileFault&key=vim.hostd.vmsvc.cbt.noEpoch'
    once disk=2000 -- 'nbdinfo --map "$uri"' 2> warning | awk '{print $1, $2, $3}' > map
    [ "$(cat map)" = "0 33554432 0" ]
    grep -q 'which blocks are allocated is not known' warning
    clean
}
