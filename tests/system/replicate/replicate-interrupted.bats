# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate: a snapshot that is removed, a target without flush, and a new image that is begun in two runs.
load ../job
load replicate

# vsphere_admin FUNCTION ARGUMENTS...: what somebody else does, by a function of tests/vcenter/vcenter.bash.
vsphere_admin() { (source "$SOURCE/tests/vcenter/vcenter.bash" && "$1" vcenter "${@:2}"); }

@test "somebody removes all snapshots and makes another one: one error that names the snapshot, nothing is complete" {
    random_file live.img 12M 7
    vcenter
    hold_source
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" vm=/DC0/vm/web1 disk=2000
        "${PIECEWISE[@]}")
    TO=(--to qcow2 file=web1.qcow2 seal=on)
    begin "${FROM[@]}" "${TO[@]}" --state web1.state
    midway web1.qcow2.partial
    vsphere_admin soap_login > /dev/null
    vsphere_admin soap RemoveAllSnapshots_Task VirtualMachine vm-42 > /dev/null
    until_true 30 no_snapshots
    release_source
    control "write?disk=2000&offset=0&length=$((12 << 20))&byte=77"
    other=$(vsphere_admin soap_snapshot vm-42)
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 1 ]
    [[ "$(tail -1 run.log)" == *"the copy is not complete: source: the snapshot snapshot-"*" is gone: somebody has removed it"* ]]
    # Beside what tells that it waits.
    [ "$(grep -vcE 'nothing has been copied|it goes on|[0-9] ?%' run.log)" -le 6 ]
    must_fail grep -q 'HTTP status' run.log
    [ ! -e web1.qcow2 ]
    [ "$(jq '[.owed[][1]] | add' web1.state)" -gt 0 ]
    [ "$(snapshots)" = 1 ]
    vsphere_admin soap_remove "$other"
    # Whatever is not owed is of the instant that the checkpoint says; the rest comes now.
    replicate_now "${FROM[@]}" "${TO[@]}" --state web1.state
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    [ "$(jq -c .owed web1.state)" = '[]' ]
    [ "$(snapshots)" = 0 ]
}
no_snapshots() { [ "$(snapshots)" = 0 ]; }

@test "a target without flush: the copy is complete" {
    random_file disk.img 2M 3
    truncate -s 2M store
    start old eval get_size='echo 2M' can_write='exit 0' can_flush='exit 3' \
        pread="dd if=$PWD/store iflag=skip_bytes,count_bytes skip=\$4 count=\$3 status=none" \
        pwrite="dd of=$PWD/store conv=notrunc oflag=seek_bytes seek=\$4 status=none"
    nbdinfo --can write "$(uri old)"
    must_fail nbdinfo --can flush "$(uri old)"
    for time in first again; do
        run replicate_now --state copy.state --from file disk.img --to nbd socket=old.sock
        echo "$output"
        [ "$status" = 0 ]
        [[ "$output" == *"copy.state: complete" ]]
        same disk.img store
    done
    # As a further destination.
    truncate -s 2M other
    run replicate_now --state second.state --from file disk.img --to file other --also "$(uri old)"
    echo "$output"
    [ "$status" = 0 ]
    same disk.img other
}

@test "seal=on and create=always: a run that is interrupted goes on, and the old image stays until then" {
    random_file live.img 12M 7
    vcenter
    hold_source
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" vm=/DC0/vm/web1 disk=2000
        "${PIECEWISE[@]}")
    RUN=("${FROM[@]}" --to qcow2 file=web1.qcow2 seal=on create=always --state web1.state)
    qemu-img create -q -f qcow2 web1.qcow2 12M
    cp web1.qcow2 old.qcow2
    begin "${RUN[@]}"
    midway web1.qcow2.partial
    interrupt TERM
    wait "$run" || true
    [ -e web1.qcow2.partial ]
    same web1.qcow2 old.qcow2
    replicate_now "${RUN[@]}"
    [ ! -e web1.qcow2.partial ]
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    # Nothing has been begun now: a new image would have only what has changed.
    refuses 'would be a new, empty image' replicate_now "${RUN[@]}"
}
