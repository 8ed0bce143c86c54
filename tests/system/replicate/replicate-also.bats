# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate --also: a further destination that is away or full is its own problem.
load ../job
load replicate

# from_file: disk.img is copied to copy.qcow2, with a state of its own. Sets FROM and TO.
from_file() {
    random_file disk.img 4M 31
    truncate -s 6M disk.img
    FROM=(--state copy.state --from file disk.img)
    TO=(--to qcow2 copy.qcow2)
}

# copied_but_behind NAME SIZE: the last run ended with status 3, said what the destination is owed last, and has
# completed everything else.
copied_but_behind() {
    echo "$output"
    [ "$status" = 3 ]
    [[ "$output" == *"copy.state: complete"* ]]
    [[ "${lines[-1]}" == *"$1 is owed $2"*"run the same command again"* ]]
    [ "$(jq -c .owed copy.state)" = '[]' ]
    qemu-img compare -f raw -F qcow2 disk.img copy.qcow2
}

@test "one that is away: the others are written, and the next run sends what it is owed" {
    from_file
    truncate -s 6M near.raw far.raw
    start near file near.raw
    local also=(--also "$(uri far)" fanout-name=far fanout-retries=0 --also "$(uri near)" fanout-name=near)
    run replicate_now "${FROM[@]}" "${TO[@]}" "${also[@]}"
    copied_but_behind far "6.0 MiB"
    same disk.img near.raw
    # The progress of the others is kept: the whole disk is owed to one only.
    run replicate_now "${FROM[@]}" "${TO[@]}" "${also[@]}"
    copied_but_behind far "6.0 MiB"
    start far file far.raw
    replicate_now "${FROM[@]}" "${TO[@]}" "${also[@]}"
    same disk.img far.raw
}

@test "one that is full: the others are written, and it is owed what does not fit" {
    from_file
    truncate -s 6M near.raw
    start near file near.raw
    start full --filter=error memory 6M error-pwrite=ENOSPC error-pwrite-rate=100%
    run replicate_now "${FROM[@]}" "${TO[@]}" --also "$(uri full)" fanout-name=full --also "$(uri near)"
    copied_but_behind full ""
    [[ "$output" == *"destination: "*"full"*"No space left on device"* ]]
    same disk.img near.raw
}

@test "one that goes away in the middle: the others are written" {
    vcenter
    hold_source
    destinations
    FROM=(--state web1.state --from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA"
        vm=/DC0/vm/web1 disk=2000 "${PIECEWISE[@]}")
    TO=(--to qcow2 web1.qcow2 --also "$(uri dr)" fanout-name=dr
        --also "$(uri cloud)" fanout-name=cloud fanout-retries=0)
    begin "${FROM[@]}" "${TO[@]}"
    midway web1.qcow2
    stop cloud KILL
    release_source
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 3 ]
    [[ "$(tail -n 1 run.log)" == *"cloud is owed "* ]]
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    same live.img dr.raw
    [ "$(snapshots)" = 0 ]
    start_qemu cloud --shared=0 -f qcow2 cloud.qcow2
    guest_writes
    replicate_now "${FROM[@]}" "${TO[@]}"
    all_equal web1.qcow2
}

@test "with fanout-on-error=fail, for one or for all, the run fails with it" {
    from_file
    local far
    far=$(uri far)
    run replicate_now "${FROM[@]}" "${TO[@]}" --also "$far" fanout-on-error=fail fanout-retries=0
    echo "$output"
    [ "$status" = 1 ]
    [[ "${lines[-1]}" == *"far.sock"* ]]
    run replicate_now "${FROM[@]}" "${TO[@]}" fanout-on-error=fail fanout-retries=0 --also "$far"
    [ "$status" = 1 ]
    must_fail grep -q '"owed":\[\]' copy.state
}

@test "several disks: which of them have a destination that is behind, and which are not complete" {
    mkdir disks
    random_file disks/a.img 1M 1
    random_file disks/b.img 1M 2
    cp disks/a.img dra.raw
    start dra.img file dra.raw
    local words=(--state states/ --from file dir=disks --to qcow2 'copy-{disk}.qcow2'
        --also "nbd+unix:///?socket=$PWD/dr{disk}.sock" 'fanout-name=dr-{disk}' fanout-retries=0)
    run replicate_now "${words[@]}"
    echo "$output"
    [ "$status" = 3 ]
    [[ "$output" == *"disk b.img: dr-b.img is owed 1.0 MiB"* ]]
    [[ "${lines[-1]}" == *"1 of 2 disks have a destination that is behind"* ]]
    # A disk that is not complete counts for more.
    rm states/a.img.state copy-a.img.qcow2
    mkdir copy-a.img.qcow2
    run replicate_now "${words[@]}"
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"1 of 2 disks have a destination that is behind"* ]]
    [[ "$output" == *"1 of 2 disks are not complete"* ]]
}

@test "a file in the directory of what is owed that cannot be read is named, with what to do" {
    from_file
    truncate -s 6M dr.raw
    start dr file dr.raw
    run_it() { replicate_now "${FROM[@]}" "${TO[@]}" --also "$(uri dr)" fanout-name=dr; }
    run_it
    echo nonsense > copy.state.fanout/dr.json
    refuses "copy.state.fanout/dr.json is not a usable state file (Expecting value" run_it
    [[ "$output" == *"remove it, and the whole disk is copied to its destination" ]]
    echo '{"owed":[]}' > copy.state.fanout/dr.json
    refuses "copy.state.fanout/dr.json is not a usable state file (it names no destination)" run_it
    rm copy.state.fanout/dr.json
    mkdir copy.state.fanout/dr.json
    refuses "cannot read copy.state.fanout/dr.json: Is a directory" run_it
    rmdir copy.state.fanout/dr.json
    truncate -s 0 dr.raw
    truncate -s 6M dr.raw
    run_it
    same disk.img dr.raw
}

@test "what a destination is owed cannot be recorded: the run fails, and the cause is the last line" {
    from_file
    truncate -s 6M dr.raw
    start dr file dr.raw
    run_it() { replicate_now "${FROM[@]}" "${TO[@]}" --also "$(uri dr)" fanout-name=dr fanout-retries=0; }
    run_it
    stop dr
    mkdir synced
    touch full
    # The directory is full, and the destination away.
    STORAGE_OF=$PWD/copy.state.fanout STORAGE_FULL=$PWD/full STORAGE_SYNCED=$PWD/synced \
        LD_PRELOAD=$BUILD/tests/system/durability/storage_faults.so refuses "the copy is not complete: " run_it
    [[ "$(tail -1 <<< "$output")" == *"the copy is not complete: destination: "*"copy.state.fanout/dr.json"*"No space left on device"* ]]
    rm full
    start dr file dr.raw
    run_it
    same disk.img dr.raw
    qemu-img compare -f raw -F qcow2 disk.img copy.qcow2
}
