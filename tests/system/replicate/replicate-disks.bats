# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate with a directory of state files: all disks of a machine by one command.
load ../job
load replicate

# machine [SIMULATOR-ARGUMENTS...]: starts the simulator; web1 has three disks, live.img, two.img and three.img.
machine() {
    truncate -s 8M two.img
    random_file part 3M 21
    dd if=part of=two.img bs=64K seek=5 conv=notrunc status=none
    random_file three.img 1M 22
    vcenter --task-ms 20 --disk 2001="$PWD/two.img" --disk 2002="$PWD/three.img" "$@"
    DISKS=([2000]=live.img [2001]=two.img [2002]=three.img)
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" vm=/DC0/vm/web1)
}
declare -A DISKS

# everywhere: starts an NBD server for each disk, and sets RUN to the options of a run that writes to all of them.
everywhere() {
    local disk
    for disk in "${!DISKS[@]}"; do
        truncate -r "${DISKS[$disk]}" "dr$disk.raw"
        start "dr$disk" file "dr$disk.raw"
    done
    TO=(--to qcow2 file='web1-{disk}.qcow2'
        --also "nbd+unix:///?socket=$PWD/dr{disk}.sock" fanout-concurrency=4)
    RUN=(--state states/ "${FROM[@]}" "${TO[@]}")
}

# writes SEED: the guest writes to each disk.
writes() {
    guest_writes "$1"
    random_file news 200K "$1"
    control "write?disk=2001&offset=1000003" --data-binary @news
    control "unmap?disk=2001&offset=2097152&length=1048576"
    control "write?disk=2002&offset=7&length=5000&byte=$1"
}

# copied PATTERN [DISK...]: the images equal the disks, and nothing is owed. PATTERN: the name of an image with DISK
# for the name of its disk.
copied() {
    local pattern=$1 disk
    shift
    for disk in "${@:-${!DISKS[@]}}"; do
        qemu-img compare -f raw -F qcow2 "${DISKS[$disk]}" "${pattern/DISK/$disk}"
        sound "${pattern/DISK/$disk}"
        [ "$(jq -c .owed "states/$disk.state")" = '[]' ]
    done
    [ "$(snapshots)" = 0 ]
}
all_copied() {
    local disk
    copied web1-DISK.qcow2
    for disk in "${!DISKS[@]}"; do same "${DISKS[$disk]}" "dr$disk.raw"; done
}

# data_in IMAGE: the bytes of data that are not in a backing file.
data_in() { qemu-img map --output=json -f qcow2 "$1" | jq '[.[] | select(.depth == 0 and .data) | .length] | add // 0'; }

@test "three disks, and what changes on them, to images and servers, from one snapshot" {
    machine
    everywhere
    run replicate_now "${RUN[@]}"
    echo "$output"
    [ "$status" = 0 ]
    for disk in 2000 2001 2002; do
        [[ "$output" == *"disk $disk: the whole disk is copied"* ]]
        [[ "$output" == *"disk $disk: complete, as of "* ]]
    done
    all_copied
    writes 5
    # Arguments in a file, as in the example for systemd in the manual page.
    { printf '%q ' "${FROM[@]}"; echo; echo "--state states/"; echo "${TO[@]}"; } > job
    run replicate_now @job
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"disk 2001: 1."*" MiB of 8.0 MiB have changed since"* ]]
    all_copied
    [ "$(control state | jq '.vms."vm-42".taken')" = 2 ]
    [ -z "$(ls tmp)" ]
}

@test "increments to images over those of the previous run, one disk at a time" {
    machine
    RUN=(--state states --at-once 1 "${FROM[@]}")
    mkdir states
    replicate_now "${RUN[@]}" --to qcow2 '{disk}-mon.qcow2' compress=zstd
    copied DISK-mon.qcow2
    for disk in "${!DISKS[@]}"; do cp "${DISKS[$disk]}" "$disk.before"; done
    writes 6
    replicate_now "${RUN[@]}" --to qcow2 '{disk}-tue.qcow2' backing='{disk}-mon.qcow2' backing-format=qcow2
    copied DISK-tue.qcow2
    [ "$(data_in 2000-tue.qcow2)" -lt $((8 << 20)) ]
    for disk in "${!DISKS[@]}"; do qemu-img compare -f raw -F qcow2 "$disk.before" "$disk-mon.qcow2"; done
    # As if 2002 had been added on Wednesday.
    rm states/2002.state 2002-*.qcow2
    replicate_now "${RUN[@]}" --to qcow2 '{disk}-wed.qcow2' backing='{disk}-tue.qcow2' backing-format=qcow2
    copied DISK-wed.qcow2
    # A disk that has a state file but no image is not copied from the beginning.
    rm 2002-wed.qcow2
    refuses "2002-wed.qcow2" replicate_now "${RUN[@]}" \
        --to qcow2 '{disk}-thu.qcow2' backing='{disk}-wed.qcow2' backing-format=qcow2
    [[ "$output" == *"1 of 3 disks are not complete"* ]]
}

@test "the output of a dry run, given to a shell, does the same" {
    machine
    everywhere
    for round in 1 2; do
        replicate_now --dry-run "${RUN[@]}" > lines
        cat lines
        [ "$round" = 2 ] || [ ! -e states ]
        timeout 120 bash -e lines 3>&-
        all_copied
        writes $round
    done
    grep -q "^for disk in " lines
}

@test "a disk that was added is copied whole, and one that was removed is reported" {
    machine
    everywhere
    replicate_now "${RUN[@]}"
    writes 7
    # As if 2002 had been added since, and there had been a 2003.
    rm -r states/2002* web1-2002.qcow2
    cp states/2001.state states/2003.state
    sed -i 's/"disk":2001/"disk":2003/' states/2003.state
    : > web1-2003.qcow2
    run replicate_now "${RUN[@]}"
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"disk 2002: the whole disk is copied"* ]]
    [[ "$output" == *"disk 2000: "*" have changed since"* ]]
    [[ "$output" == *"disk 2003: the source no longer has this disk"*"remove states/2003.state"* ]]
    all_copied
    # With disk=, the other disks are not missing.
    replicate_now --state states/ "${FROM[@]}" disk=2001 "${TO[@]}"
    rm states/2003.state
    replicate_now "${RUN[@]}"
}

@test "if one disk cannot be written, the others are copied, and the next run copies the rest" {
    machine
    everywhere
    mkdir web1-2001.qcow2
    run replicate_now "${RUN[@]}"
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"disk 2001: the destination server did not start"* ]]
    [[ "$output" == *"1 of 3 disks are not complete"* ]]
    copied web1-DISK.qcow2 2000 2002
    rmdir web1-2001.qcow2
    writes 8
    run replicate_now "${RUN[@]}"
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"disk 2001: the whole disk is copied"* ]]
    [[ "$output" == *"disk 2000: "*" have changed since"* ]]
    all_copied
}

# in_the_middle OPTIONS...: begins a run whose source is held, and returns when it has written something.
in_the_middle() {
    machine
    hold_source
    FROM+=("${PIECEWISE[@]}")
    everywhere
    begin "$@" "${RUN[@]}"
    midway web1-2000.qcow2
}

@test "SIGTERM: the run ends in order, and the next one continues" {
    in_the_middle --at-once 2
    [ ${#servers[@]} -ge 3 ]
    ended_in_order TERM
    grep -q 'disk 2000: interrupted' run.log
    [ "$(jq '.owed | length' states/2000.state)" -gt 0 ]
    writes 9
    replicate_now "${RUN[@]}"
    all_copied
}

@test "kill -9: the servers exit by themselves, and the next run continues" {
    in_the_middle
    interrupt KILL
    until_true 60 all_gone "${servers[@]}"
    [ "$(snapshots)" = 0 ]
    writes 10
    replicate_now "${RUN[@]}"
    all_copied
}

@test "a plugin that does not report changes, with lines of progress" {
    mkdir disks
    random_file disks/a.img 3M 31
    random_file disks/b.img 2M 32
    run replicate_now --progress 0.01 --state states/ --from file dir=disks --to qcow2 'copy-{disk}.qcow2'
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"disk a.img: "*"%, "*" of 3.0 MiB, "*"disk a.img: complete"* ]]
    [[ "$output" == *"disk b.img: "*"%, "*" of 2.0 MiB, "*"disk b.img: complete"* ]]
    for disk in a.img b.img; do
        qemu-img compare -f raw -F qcow2 "disks/$disk" "copy-$disk.qcow2"
        [ "$(jq -c .owed "states/$disk.state")" = '[]' ]
    done
}

@test "options by which disks would share a file or a server are refused before anything is started" {
    truncate -s 1M disk.img
    local options=(--state states/ --from vsphere server=127.0.0.1 user=u password=+none vm=x)
    refuses "put {disk}" replicate_now "${options[@]}" --to qcow2 file=web1.qcow2
    refuses "put {disk}" replicate_now "${options[@]}" --to qcow2 web1.qcow2
    refuses "nbd://dr/web1: several disks" replicate_now "${options[@]}" --to qcow2 '{disk}.qcow2' --also nbd://dr/web1
    refuses "fanout-stats=stats: several disks" replicate_now "${options[@]}" \
        --to qcow2 '{disk}.qcow2' fanout-stats=stats --also 'nbd://dr/{disk}'
    refuses "--state must be a directory" replicate_now --state web1.state --from file disk.img \
        --to qcow2 '{disk}.qcow2'
    refuses "--at-once" replicate_now --at-once 0 "${options[@]}" --to qcow2 '{disk}.qcow2'
    [ ! -e states ]
    refuses "with a file for --state" replicate_now --state states/ --from file disk.img --to qcow2 '{disk}.qcow2'
    [ -z "$(ls ./*.qcow2 states/*.state tmp/* 2> /dev/null)" ]
}
