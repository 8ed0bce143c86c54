# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate with one disk: runs that succeed, runs that are refused, fail or are interrupted.
load ../job
load replicate

OPTIONS+=(--state web1.state)

from() {
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA"
        vm=/DC0/vm/web1 disk=2000 "$@")
}

also() {
    ALSO=(--also "$(uri dr)" fanout-name=dr fanout-concurrency=8
        --also "$(uri cloud)" fanout-name=cloud fanout-concurrency=2)
}

# in_the_middle: begins a run whose source is held, and returns when it has written something.
in_the_middle() {
    vcenter
    hold_source
    destinations
    from "${PIECEWISE[@]}"
    also
    begin "${FROM[@]}" --to qcow2 file=web1.qcow2 "${ALSO[@]}"
    midway web1.qcow2
    [ ${#servers[@]} = 3 ]
}

# finished: after the guest has written, the same command completes the copy.
finished() {
    guest_writes
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 "${ALSO[@]}"
    all_equal web1.qcow2
}

# one_run_says PATTERN: a run completes the copy, and its messages match PATTERN before the one that says so.
one_run_says() {
    run replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 "${ALSO[@]}"
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *$1*"web1.state: complete, as of "* ]]
    all_equal web1.qcow2
}

@test "a disk, and what changes on it, to an image and two servers" {
    vcenter
    destinations
    from
    also
    one_run_says "the whole disk is copied"
    guest_writes
    one_run_says "have changed since"
    # Nothing has changed.
    one_run_says "0.0 MiB of *have changed since"
}

@test "an increment to an image over the image of the previous run" {
    vcenter
    from
    replicate_now "${FROM[@]}" --threads 4 --to qcow2 mon.qcow2 compress=zstd
    cp live.img before.img
    guest_writes
    replicate_now "${FROM[@]}" --to qcow2 tue.qcow2 backing=mon.qcow2 backing-format=qcow2
    qemu-img compare -f raw -F qcow2 live.img tue.qcow2
    qemu-img compare -f raw -F qcow2 before.img mon.qcow2
    sound mon.qcow2
    sound tue.qcow2
    [ "$(snapshots)" = 0 ]
}

# printed_lines_copy: the output of a dry run, given to a shell, completes the copy.
printed_lines_copy() {
    replicate_now --dry-run "${FROM[@]}" --to qcow2 file='the image' "${ALSO[@]}" > lines
    cat lines
    [ ! -e src.sock ]
    timeout 120 bash -e lines 3>&-
    all_equal 'the image'
}

@test "the output of a dry run, given to a shell, does the same" {
    vcenter
    destinations
    from
    also
    printed_lines_copy
    grep -q 'size=.*nbdinfo --size' lines
    guest_writes
    printed_lines_copy
    must_fail grep -q 'size=' lines
}

@test "a plugin that does not report changes: the whole disk is copied" {
    truncate -s 1000001 disk.img
    random_file part 200K
    dd if=part of=disk.img conv=notrunc bs=64K seek=3 status=none
    for compress in zstd none; do
        run replicate_now --from file disk.img --to qcow2 "file=$compress.qcow2" compress=$compress
        echo "$output"
        [ "$status" = 0 ]
        qemu-img compare -f raw -F qcow2 disk.img $compress.qcow2
        rm web1.state
    done
    replicate_now --dry-run --from file disk.img --to qcow2 lines.qcow2 > lines
    timeout 60 bash -e lines 3>&-
    qemu-img compare -f raw -F qcow2 disk.img lines.qcow2
    rm web1.state
    truncate -s 2M copy.img
    replicate_now --from file disk.img --to file copy.img
    cmp -n 1000001 disk.img copy.img
}

@test "arguments in a file" {
    random_file disk.img 1M
    cat > job <<'JOB'
# every night
--from file disk.img \
--to qcow2 'file=the image' \
    cluster-size=4K  # small
JOB
    replicate_now @job
    qemu-img compare -f raw -F qcow2 disk.img 'the image'
    [ "$(qemu-img info --output=json 'the image' | jq '."cluster-size"')" = 4096 ]
    echo "--from 'file" > job
    refuses "job: No closing quotation" replicate_now @job
    refuses "none" replicate_now @none
    [ "$status" = 2 ]
    echo "password=s3cret" > job
    refuses "password=+FILE" replicate_now --to qcow2 new.qcow2 --from vsphere @job
}

@test "invalid options are refused before anything is started" {
    truncate -s 1M disk.img
    refuses "password=+FILE" replicate_now --from vsphere server=localhost user=u password=s3cret vm=x \
        --to qcow2 new.qcow2
    refuses "password=+FILE" replicate_now --dry-run --from vsphere password=s3cret --to qcow2 new.qcow2
    refuses "--state" timeout 60 "$SOURCE/scripts/nbdkit-replicate" --from file disk.img --to qcow2 new.qcow2
    [ "$status" = 2 ]
    refuses "--threads" replicate_now --threads many --from file disk.img --to qcow2 new.qcow2
    [ "$status" = 2 ]

    replicate_now --from file disk.img --to qcow2 file=mon.qcow2
    cp web1.state before.state
    refuses "add backing=FILE" replicate_now --from file disk.img --to qcow2 file=tue.qcow2
    [ "$status" = 2 ]
    refuses "add backing=FILE" replicate_now --from file disk.img --to qcow2 file=mon.qcow2 create=always
    [ ! -e new.qcow2 ]
    [ ! -e tue.qcow2 ]
    cmp before.state web1.state
}

@test "a server does not start: its error is shown, and nothing is left behind" {
    truncate -s 1M disk.img
    refuses "the source server did not start" replicate_now --from file nothing.img --to qcow2 new.qcow2
    [[ "$output" == *nothing.img* ]]
    refuses "the destination server did not start" replicate_now --from file disk.img \
        --to qcow2 new.qcow2 cluster-size=7
    [[ "$output" == *cluster-size* ]]
    truncate -s 1K small.img
    refuses "not complete" replicate_now --from file disk.img --to file small.img
    [ ! -e new.qcow2 ]
    [ -z "$(ls -d "${TMPDIR:-/tmp}"/nbdkit-replicate.* 2> /dev/null)" ]
}

@test "a password that is asked for is not on any command line" {
    vcenter
    hold_source
    from "${PIECEWISE[@]}"
    begin "${FROM[@]/password=+vc.pass/password=-}" --to qcow2 file=web1.qcow2 < vc.pass
    until_true 60 holds_data web1.qcow2
    cat "/proc/$run/cmdline" $(children_of "$run" | sed 's,.*,/proc/&/cmdline,') > lines
    grep -q password=- lines
    must_fail grep -q s3cret lines
    release_source
    wait "$run"
    cat run.log
    must_fail grep -q s3cret run.log
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
}

@test "SIGINT: the run ends in order, and the next one continues" {
    in_the_middle
    ended_in_order INT
    [ "$(jq '.owed | length' web1.state)" -gt 0 ]
    sound web1.qcow2
    finished
}

@test "kill -9: the servers exit by themselves, and the next run continues" {
    in_the_middle
    interrupt KILL
    until_true 60 all_gone "${servers[@]}"
    [ "$(snapshots)" = 0 ]
    [ "$(jq '.owed | length' web1.state)" -gt 0 ]
    finished
}

@test "a destination that cannot be reached is reported, and the next run sends what it is owed" {
    vcenter
    destinations
    from
    also
    stop cloud
    refuses "cloud is owed" replicate_now "${FROM[@]}" \
        --to qcow2 file=web1.qcow2 fanout-on-error=detach fanout-retries=0 "${ALSO[@]}"
    [ "$status" = 3 ]
    [[ "$output" == *"web1.state: complete"* ]]
    same live.img dr.raw
    start_qemu cloud --shared=0 -f qcow2 cloud.qcow2
    finished
}

@test "a destination that is added receives the whole disk, and leaving one out is refused" {
    vcenter
    destinations
    from
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 --also "$(uri dr)"
    guest_writes
    refuses "dr.sock was a destination" replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2
    refuses "dr.sock was a destination" replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 --also "$(uri cloud)"
    [ "$(snapshots)" = 0 ]
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 --also "$(uri cloud)" --also "$(uri dr)"
    all_equal web1.qcow2

    # Given up, and added again later.
    rm web1.state.fanout/*dr.sock.json
    guest_writes 12
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 --also "$(uri cloud)"
    must_fail cmp -s live.img dr.raw
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 --also "$(uri cloud)" --also "$(uri dr)"
    all_equal web1.qcow2

    # In a directory of the user's own; and those of the other directory are not forgotten then.
    refuses "cloud.sock was a destination" replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 fanout-state=own --also "$(uri dr)"
    guest_writes 14
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 fanout-state=own --also "$(uri cloud)" --also "$(uri dr)"
    all_equal web1.qcow2
    rm -r web1.state.fanout
    refuses "dr.sock was a destination" replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 fanout-state=own --also "$(uri cloud)"
    refuses "remove own/" replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 fanout-state=own
}

@test "a second signal: a slow destination is not waited for, and what it is owed is kept" {
    vcenter
    destinations
    from
    begin "${FROM[@]}" --to qcow2 file=web1.qcow2 \
        --also "$(uri dr)" fanout-name=dr fanout-mode=async fanout-rate=64K
    until_true 60 grep -q '"owed":\[\]' web1.state
    kill -TERM "$run"
    until_true 10 grep -q 'a second signal' run.log
    must_fail gone "$run"
    kill -TERM "$run"
    until_true 60 gone "$run"  # what it is owed takes minutes
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 1 ]
    [ "$(snapshots)" = 0 ]
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 --also "$(uri dr)" fanout-name=dr
    same live.img dr.raw
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    sound web1.qcow2
}

@test "two names of one state exclude each other" {
    vcenter
    hold_source
    destinations
    from "${PIECEWISE[@]}"
    mkdir real
    ln -s real/web1.state web1.state
    ln -s real link
    begin "${FROM[@]}" --to qcow2 file=web1.qcow2 --also "$(uri dr)"
    midway web1.qcow2
    [ -e real/web1.state ]
    [ -d real/web1.state.fanout ]
    truncate -s "$SIZE" other.raw
    local state
    for state in real/web1.state link/web1.state "$PWD/web1.state"; do
        refuses "real/web1.state" replicate_now --state "$state" --from file live.img --to file other.raw \
            --also "$(uri dr)"
        [[ "$output" == *"did not start"* ]]
    done
    must_fail gone "$run"
    release_source
    wait "$run"
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    [ -L web1.state ]
}

@test "what a run creates can be read by its user only" {
    mkdir disks
    random_file disks/a.img 1M
    truncate -s 1M dr.raw
    start a.img file dr.raw
    umask 022
    replicate_now --state deep/er/states/ --from file dir=disks --to qcow2 'copy-{disk}.qcow2' \
        --also "nbd+unix:///?socket=$PWD/{disk}.sock" 'fanout-name={disk}'
    local directory
    for directory in deep deep/er deep/er/states deep/er/states/a.img.state.fanout; do
        [ "$(stat -c %a "$directory")" = 700 ]
    done
    replicate_now --dry-run --state lined/ --from file dir=disks --to qcow2 'copy-{disk}.qcow2' > lines
    grep -q '^mkdir -m 0700 -p lined/' lines
}

# sealed_after SIGNAL: it ends the run in the middle; the image has its own name only after the next run.
sealed_after() {
    vcenter
    hold_source
    from "${PIECEWISE[@]}"
    begin "${FROM[@]}" --to qcow2 file=web1.qcow2 seal=on
    midway web1.qcow2.partial
    interrupt "$1"
    wait "$run" || true
    until_true 60 all_gone "${servers[@]}"
    [ ! -e web1.qcow2 ]
    [ -e web1.qcow2.partial ]
    [ "$(snapshots)" = 0 ]
    guest_writes
    replicate_now "${FROM[@]}" --to qcow2 file=web1.qcow2 seal=on
    [ ! -e web1.qcow2.partial ]
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    [ "$(jq '.owed | length' web1.state)" = 0 ]
}

@test "seal=on, SIGTERM in the middle: the image gets its name when the state owes nothing" { sealed_after TERM; }

@test "seal=on, kill -9 in the middle: the image gets its name when the state owes nothing" { sealed_after KILL; }
