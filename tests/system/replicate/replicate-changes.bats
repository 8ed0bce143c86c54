# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate: disks that grow, increments without change tracking, images that a refused run has created.
load ../job
load replicate

# complete RUN...: the run ends complete, and the image equals the disk.
complete() {
    run replicate_now --state web1.state "$@"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"web1.state: complete"* ]]
}

equal() { qemu-img compare -f raw -F "${2:-qcow2}" "$1" "${3:-web1.qcow2}"; }

@test "a disk that has grown: the image and a further destination that is large enough get what is new" {
    random_file live.img 4M 7
    vcenter
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" vm=/DC0/vm/web1 disk=2000)
    truncate -s 8M large
    truncate -s 4M small
    start large file large
    start small file small
    RUN=("${FROM[@]}" --to qcow2 web1.qcow2 --also "$(uri large)" fanout-name=large)
    complete "${RUN[@]}" --also "$(uri small)" fanout-name=small
    same small live.img

    control "grow?disk=2000&size=$((6 << 20))"
    head -c 65536 /dev/urandom > piece
    control "write?disk=2000&offset=$((5 << 20))" --data-binary @piece
    run replicate_now --state web1.state "${RUN[@]}" --also "$(uri small)" fanout-name=small
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "$output" == *"small"*"4194304"*"6291456"* ]]
    equal live.img
    sound web1.qcow2
    cmp -n $((6 << 20)) live.img large

    # Enlarged, it gets what it is owed, by the same command.
    stop small
    truncate -s 6M small
    start small file small
    complete "${RUN[@]}" --also "$(uri small)" fanout-name=small
    same live.img small

    # Again, into an overlay that is larger than the image below it.
    control "grow?disk=2000&size=$((7 << 20))"
    control "write?disk=2000&offset=$((6 << 20))" --data-binary @piece
    stop small
    truncate -s 7M small
    start small file small
    complete "${FROM[@]}" --to qcow2 tuesday.qcow2 backing=web1.qcow2 backing-format=qcow2 --also "$(uri large)" \
        fanout-name=large --also "$(uri small)" fanout-name=small
    equal live.img qcow2 tuesday.qcow2
    same live.img small
}

@test "a disk that has grown: a raw file is enlarged" {
    random_file disk.raw 2M 3
    RUN=(--from file disk.raw delta-digests=web1.digests --to file copy.raw)
    truncate -s 2M copy.raw
    complete "${RUN[@]}"
    random_file more 1M 4
    cat more >> disk.raw
    complete "${RUN[@]}"
    [[ "$output" == *"copy.raw: enlarged from 2097152 to 3145728 bytes"* ]]
    same disk.raw copy.raw
}

@test "increments by digests, and by a list of what has changed" {
    random_file disk.raw 4M 3
    RUN=(--from file disk.raw delta-digests=web1.digests --to qcow2 web1.qcow2)
    complete "${RUN[@]}"
    equal disk.raw
    dd if=/dev/urandom of=disk.raw bs=64K seek=20 count=1 conv=notrunc status=none
    complete "${RUN[@]}"
    [[ "$output" == *"0.1 MiB of 4.0 MiB have changed"* ]]
    equal disk.raw

    rm web1.state web1.qcow2
    echo "0 65536" > list
    complete --from file disk.raw delta-map=list delta-since=monday delta-checkpoint=tuesday --to qcow2 web1.qcow2
    equal disk.raw
    dd if=/dev/urandom of=disk.raw bs=64K seek=0 count=1 conv=notrunc status=none
    complete --from file disk.raw delta-map=list delta-since=tuesday delta-checkpoint=wednesday --to qcow2 web1.qcow2
    [[ "$output" == *"0.1 MiB of 4.0 MiB have changed since tuesday"* ]]
    equal disk.raw
}

@test "what a list leaves out is not read ahead" {
    random_file disk.raw 32M 5
    start slow --filter=log --filter=delay file disk.raw rdelay=5ms logfile=requests
    printf '{"nbdkit-replicate":1,"checkpoint":"monday","source":"delta","vm":"","disk":0,"size":33554432,"owed":[]}' > web1.state
    truncate -s 32M copy.raw
    for i in {0..31}; do echo "$((i << 20)) 524288"; done > list
    complete --from nbd uri="$(uri slow)" delta-map=list delta-since=monday delta-checkpoint=tuesday coalesce-gap=0 \
        coalesce-stats=stats --to file copy.raw apply-verify=off
    # nbdcopy's first requests may overtake each other, and then some are read twice; but nothing beside the list is.
    sed -nE 's/.* Read .*offset=(0x[0-9a-f]+) count=(0x[0-9a-f]+) .*/\1 \2/p' requests > reads
    total=0
    while read -r offset count; do
        [ $((offset % (1 << 20) + count)) -le 524288 ]
        total=$((total + count))
    done < reads
    [ "$total" -ge $((16 << 20)) ]
    again=$(awk '/^nbdkit_coalesce_wasted_bytes_total / { print $2 }' stats)
    [ $((total - again)) -lt $((24 << 20)) ]
    [ "$(awk '/^nbdkit_coalesce_gap_bytes_total / { print $2 }' stats)" -eq 0 ]
    for i in 0 17 31; do cmp -i $((i << 20)) -n 524288 disk.raw copy.raw; done
    cmp -i 524288 -n 524288 /dev/zero copy.raw
}

@test "a refused run leaves no image of its own behind" {
    random_file disk.raw 2M 3
    FROM=(--from file disk.raw delta-digests=web1.digests)
    complete "${FROM[@]}" --to qcow2 monday.qcow2
    cp monday.qcow2 older.qcow2
    rm monday.qcow2
    complete "${FROM[@]}" --to qcow2 tuesday.qcow2 backing=older.qcow2 backing-format=qcow2
    qemu-img create -q -f qcow2 other.qcow2 2M
    # Another image below the new one than the state is about.
    run replicate_now --state web1.state "${FROM[@]}" --to qcow2 new.qcow2 backing=other.qcow2 backing-format=qcow2
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"nothing was changed"* ]]
    [ ! -e new.qcow2 ]
    complete "${FROM[@]}" --to qcow2 new.qcow2 backing=tuesday.qcow2 backing-format=qcow2
    equal disk.raw qcow2 new.qcow2
}

@test "yesterday's copy of the image, put back: the next run copies everything" {
    random_file disk.raw 2M 3
    RUN=(--from file disk.raw delta-digests=web1.digests --to qcow2 web1.qcow2)
    complete "${RUN[@]}"
    cp web1.qcow2 yesterday.qcow2
    dd if=/dev/urandom of=disk.raw bs=4K seek=100 count=1 conv=notrunc status=none
    complete "${RUN[@]}"
    cp yesterday.qcow2 web1.qcow2
    complete "${RUN[@]}"
    [[ "$output" == *"put back from an earlier time; everything is copied"* ]]
    equal disk.raw
}
