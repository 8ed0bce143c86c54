# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate --client pull: the destination fetches for itself; and qemu-img.
load ../job
load replicate

# disk: disk.raw, of 4 MiB: data, a hole, zeroes that are written as data.
disk() {
    random_file disk.raw 4M 3
    fallocate --punch-hole --offset 1M --length 512K disk.raw
    dd if=/dev/zero of=disk.raw bs=64K seek=40 count=4 conv=notrunc status=none
    FROM=(--from file disk.raw delta-digests=web1.digests)
}
# writes SEED: the guest writes and zeroes.
writes() {
    random_file news 150K "$1"
    dd if=news of=disk.raw bs=1M seek=$((700001 + $1 * 100000)) oflag=seek_bytes conv=notrunc status=none
    dd if=/dev/zero of=disk.raw bs=64K seek=$((20 + $1)) count=1 conv=notrunc status=none
}
# complete CLIENT RUN...: the run ends complete, and nothing is left.
complete() {
    run replicate_now --state web1.state --client "$@"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"web1.state: complete"* ]]
    [ "$(jq -c .owed web1.state)" = '[]' ]
    [ -z "$(ls tmp)" ]
}
equal() { qemu-img compare -f raw -F qcow2 disk.raw "$1"; }
# slow: reads of what lies from 1 MiB on are not answered before release. Arguments of --from.
slow() {
    hold
    : > reads
    FROM=(--from eval get_size="echo 4M" thread_model="echo parallel" can_multi_conn="exit 0" can_extents="exit 3"
        pread="echo \$4 >> $PWD/reads; $(held_from 1048576)
            dd if=$PWD/disk.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none"
        # No read begins before 1 MiB and ends behind it.
        coalesce-prefetch=off coalesce-chunk=64K)
}
# waits_midway: the run has copied what it could while the source holds it.
waits_midway() {
    until_true 60 eval '[ "$(wc -l < reads)" -gt 3 ]'
    must_fail gone "$run"
    mapfile -t servers < <(children_of "$run")
}

@test "nights by each client: the bytes, the digests, what is read, and what a further destination gets" {
    disk
    truncate -s 4M dr.raw
    start dr file dr.raw
    below=()
    night=0
    for client in pull qemu-img pull nbdcopy pull; do
        night=$((night + 1))
        writes $night
        complete "$client" "${FROM[@]}" --to qcow2 "$night.qcow2" "${below[@]}" apply-digests="$night.dig" \
            apply-verify=100 --also "$(uri dr)"
        equal "$night.qcow2"
        same disk.raw dr.raw
        below=(backing="$night.qcow2" backing-format=qcow2 apply-digests-parent="$night.dig")
        timeout 60 nbdkit -U - --filter="$DELTA" "$QCOW2" "$night.qcow2" read-only=on backing=auto \
            delta-check="$night.dig" --run "nbdcopy \"\$uri\" back.raw"
        same disk.raw back.raw
        [ "$night" = 1 ] || [[ "$output" == *"4.0 MiB disk, 0."*" MiB changed, 0."*" MiB read, sent 0."* ]]
    done
    # Nothing has changed.
    complete pull "${FROM[@]}" --to qcow2 6.qcow2 "${below[@]}" apply-digests=6.dig --also "$(uri dr)"
    equal 6.qcow2
}

@test "the vCenter's disk, changed by a guest: full copy and increment" {
    vcenter
    destinations
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" vm=/DC0/vm/web1 disk=2000)
    also=(--also "$(uri dr)" --also "$(uri cloud)" fanout-concurrency=2)
    complete pull "${FROM[@]}" --to qcow2 web1.qcow2 "${also[@]}"
    all_equal web1.qcow2
    guest_writes
    complete pull "${FROM[@]}" --to qcow2 web1.qcow2 "${also[@]}"
    all_equal web1.qcow2
    stop cloud
    sound cloud.qcow2
}

@test "killed, and run again with the same or another client" {
    disk
    truncate -s 4M copy.raw
    for pair in 'KILL pull pull' 'KILL pull nbdcopy' 'KILL nbdcopy pull' 'TERM pull qemu-img' 'INT pull pull'; do
        read -r signal first second <<< "$pair"
        rm -f web1.state web1.state.lock
        slow
        RUN=("${FROM[@]}" --to file copy.raw)
        begin --state web1.state --client "$first" "${RUN[@]}"
        waits_midway
        kill "-$signal" "$run"
        [ "$signal" = KILL ] || until_true 60 grep -q "SIG$signal: the run ends" run.log
        release
        status=0
        wait "$run" || status=$?
        cat run.log
        until_true 60 all_gone "${servers[@]}"
        [ "$signal" = KILL ] || [ "$status" -eq 1 ]
        [ "$signal" = KILL ] || [[ "$(tail -1 run.log)" == *interrupted* ]]
        writes 7
        complete "$second" "${RUN[@]}"
        same disk.raw copy.raw
    done
}

@test "what has arrived before a kill is not read again" {
    disk
    echo '0 4194304' > list
    FROM=(--from file disk.raw delta-map=list delta-since=monday delta-checkpoint=tuesday --to file copy.raw)
    truncate -s 4M copy.raw
    begin --state web1.state --client pull "${FROM[@]}" pull-rate=16K pull-chunk=64K
    until_true 60 eval '[ "$(jq "[.owed[][1]] | add" web1.state 2> /dev/null || echo 4194304)" -lt 4194304 ]'
    mapfile -t servers < <(children_of "$run")
    kill -KILL "$run" "${servers[@]}"
    wait "$run" || true
    until_true 60 all_gone "${servers[@]}"
    owed=$(jq '[.owed[][1]] | add' web1.state)
    # The map of the next run says that nothing has changed since: it copies what is owed, and no more.
    : > list
    FROM[3]=delta-map=list
    FROM[4]=delta-since=tuesday
    FROM[5]=delta-checkpoint=wednesday
    complete pull "${FROM[@]}" pull-stats="$PWD/stats"
    same disk.raw copy.raw
    [ "$(sed -n 's/^nbdkit_pull_fetched_bytes_total //p' stats)" -le "$owed" ]
}

@test "several disks: one fails, the others are copied; the same command copies the rest" {
    mkdir src
    for disk in a b c; do random_file "src/$disk" 1M "${#disk}"; done
    RUN=(--state web1/ --from file dir=src --to qcow2 'file={disk}.qcow2' --client pull)
    mkdir b.qcow2
    run replicate_now "${RUN[@]}"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"1 of 3 disks are not complete"* ]]
    rmdir b.qcow2
    replicate_now "${RUN[@]}"
    for disk in a b c; do qemu-img compare -f raw "src/$disk" -F qcow2 "$disk.qcow2"; done
}

@test "a further destination that is away is owed what it has missed" {
    disk
    truncate -s 4M dr.raw
    start dr file dr.raw
    RUN=("${FROM[@]}" --to qcow2 web1.qcow2 fanout-retries=0 --also "$(uri dr)" fanout-name=dr)
    complete pull "${RUN[@]}"
    stop dr
    writes 1
    run replicate_now --state web1.state --client pull "${RUN[@]}"
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "$(tail -1 <<< "$output")" == *"dr is owed"* ]]
    equal web1.qcow2
    rm -f dr.sock
    start dr file dr.raw
    complete pull "${RUN[@]}"
    same disk.raw dr.raw
}

@test "a source that breaks, a target that breaks: the cause, once, and the same command goes on" {
    disk
    slow
    truncate -s 4M copy.raw
    RUN=("${FROM[@]}" --to file copy.raw)
    begin --state web1.state --client pull "${RUN[@]}"
    waits_midway
    kill -KILL "$(source_of)"
    status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" -eq 1 ]
    grep -q 'the copy is not complete: destination: pull-from=.*source.sock: cannot' run.log
    release
    complete pull "${RUN[@]}"
    same disk.raw copy.raw

    writes 3
    slow
    begin --state web1.state --client pull "${RUN[@]}"
    waits_midway
    kill -KILL "$(target_of)"
    release
    status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" -eq 1 ]
    grep -q 'the destination server ended with signal 9' run.log
    # The source has not been hurt by the connections that are gone.
    must_fail grep -q 'source server ended with' run.log
    complete pull "${RUN[@]}"
    same disk.raw copy.raw

    # No room for the copy.
    disk
    run replicate_now --state other.state --client pull "${FROM[@]}" --to memory 1M
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$(tail -1 <<< "$output")" == *"the destination has 1048576 bytes"* ]]
}
source_of() { pgrep -P "$run" -f -- '-U [^ ]*/source.sock'; }
target_of() { pgrep -P "$run" -f '/0.sock' | head -1; }

@test "a plan, a dry run that a shell carries out, and wrong use" {
    load points
    one_disk
    sed -i '1i client = "pull"' plan.toml
    for night in 1 2; do
        guest=$night
        random_file news 150K "$guest"
        dd if=news of=disk.img bs=1M seek=700001 oflag=seek_bytes conv=notrunc status=none
        night "$night"
        cp disk.img "$night.ref"
    done
    restored 1
    restored 2
    disk
    for client in pull qemu-img; do
        rm -f web1.state* web1.digests*
        replicate_now --state web1.state --client $client "${FROM[@]}" --to qcow2 $client.qcow2 --dry-run > lines
        cat lines
        timeout 60 bash -e lines
        equal $client.qcow2
    done
    refuses 'pull-workers=3: is for --client pull alone' replicate_now --state web1.state "${FROM[@]}" --to qcow2 x.qcow2 pull-workers=3
    refuses 'pull-state=x: is given by the run itself' replicate_now --state web1.state --client pull "${FROM[@]}" \
        --to qcow2 x.qcow2 pull-state=x
    refuses 'the file plugin with dir= cannot be used' replicate_now --state web1.state --client pull "${FROM[@]}" --to file dir=x
    refuses 'client: "tar" is not one of' "$COMMAND" run --dry-run <(sed 's/"pull"/"tar"/' plan.toml)
}
