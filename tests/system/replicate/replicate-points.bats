# SPDX-License-Identifier: BSD-3-Clause
#
# Restore points: each night an image over the last one, and each night can be restored.
load ../job
load replicate
load points

verb() { "$COMMAND" "$@"; }

@test "a week: each night is a point, and is restored as it was" {
    one_disk
    nights 1 4
    night 5  # nothing has changed
    cp 4.ref 5.ref
    complete 1 2 3 4 5
    for one in 1 2 3 4 5; do
        restored $one
        sound "$(image_of $one)"
    done
    [ "$(verb list --json plan.toml | jq -c '[.[].chain]')" = '[1,2,3,4,5]' ]
    # The latest is restored unless another is asked for; it is as thin as the disk.
    verb restore plan.toml --to latest.raw --build "$BUILD"
    same 5.ref latest.raw
    [ "$(stat -c %b latest.raw)" -le $((3 << 11)) ]
    verb restore plan.toml --at "$(date -u -d '2026-11-03 01:00' --iso-8601=seconds)" --to two.qcow2 --build "$BUILD"
    qemu-img compare -f qcow2 -F raw two.qcow2 2.ref
    verb restore plan.toml --at "$(basename "$(image_of 3)")" --to three --format qcow2 --build "$BUILD"
    qemu-img compare -f qcow2 -F raw three 3.ref
}

@test "a directory that was copied elsewhere is listed and restored without a plan" {
    one_disk
    nights 1 2
    cp -r images/web1 elsewhere
    rm -rf images states
    run verb list --directory elsewhere
    echo "$output"
    [ "$(grep -c ' complete ' <<< "$output")" = 2 ]
    verb restore --directory elsewhere --to back --build "$BUILD"
    same 2.ref back
    verb verify --directory elsewhere --all --build "$BUILD"
    # With other names, too.
    mv "elsewhere/d-$(time_of 2).qcow2" elsewhere/new.qcow2
    [ "$(verb list --directory elsewhere --json | jq -r '[.[].disk] | unique[]')" = d ]
    verb restore --directory elsewhere --at new.qcow2 --to again --build "$BUILD"
    same 2.ref again
    # A point without what it lies on is told as broken.
    mv "elsewhere/d-$(time_of 1).qcow2" first
    [ "$(verb list --directory elsewhere --json | jq -r '.[].status')" = broken ]
    refuses "is not there" verb restore --directory elsewhere --at new.qcow2 --to never --build "$BUILD"
    [ ! -e never ]
}

# killed_at POINT NIGHT: a run whose destination is held at a sync point, where all of it is killed.
killed_at() {
    mkdir -p sync
    touch "sync/$1.hold"
    writes "$2"
    REPLICATE_SYNC_DIR=$PWD/sync /usr/bin/python3 "$SOURCE/tests/system/replicate/night.py" "$BUILD" plan.toml \
        "$(time_of "$2")" > run.log 2>&1 3>&- &
    local run=$!
    echo $run > run.pid
    until_true 60 [ -e "sync/$1.held" ]
    mapfile -t servers < <(children_of "$run")
    kill -KILL "$run" "${servers[@]}"
    until_true 60 all_gone "$run" "${servers[@]}"
    rm -rf run.pid sync
}

@test "a night that was killed is gone on with by the next, under its own name" {
    one_disk
    nights 1 1
    killed_at qcow2.before_complete 2
    [ "$(points)" = "$(time_of 1) complete
$(time_of 2) incomplete" ]
    refuses "cannot be restored" verb restore plan.toml --at "$(time_of 2)" --to never --build "$BUILD"
    [ ! -e never ]
    restored 1
    nights 3 3
    complete 1 3
    restored 1
    restored 3
    [ ! -e "$(image_of 2).partial" ]
}

@test "a night that was killed when it was complete, but not yet renamed, is a point" {
    one_disk
    nights 1 1
    killed_at qcow2.marked_complete 2
    cp disk.img 2.ref
    [ -e "$(image_of 2).partial" ]
    complete 1 2
    restored 2
    nights 3 3
    complete 1 2 3
    for one in 1 2 3; do restored $one; done
}

@test "a first night that was killed is gone on with" {
    one_disk
    killed_at qcow2.before_complete 1
    [ "$(points)" = "$(time_of 1) incomplete" ]
    nights 2 2
    complete 2
    restored 2
}

@test "a chain that is long enough, and one that is lost: everything is copied to a new image" {
    one_disk
    sed -i '1i longest-chain = 2' plan.toml
    nights 1 3
    complete 1 2 3
    [ "$(verb list --json plan.toml | jq -c '[.[].chain]')" = '[1,2,1]' ]
    restored 3
    restored 2
    mv "$(image_of 3)" lost
    nights 4 4
    complete 1 2 4
    restored 4
    [ "$(verb list --json plan.toml | jq -c '[.[].chain]')" = '[1,2,1]' ]
}

@test "a night whose clock was ahead: the age is that of the last true one, which is restored" {
    one_disk
    at() { date -u -d "$1" +%Y%m%dT%H%M%SZ; }
    ahead=$(at '300 days')
    count=0
    for one in "$ahead" "$(at '-3 hours')" "$(at '-2 hours')"; do
        writes $((count += 1))
        cp disk.img "$one.ref"
        /usr/bin/python3 "$SOURCE/tests/system/replicate/night.py" "$BUILD" plan.toml "$one" 2>> nights.log
    done
    cat nights.log
    [ "$(grep -c "d-$ahead.qcow2 has a later time in its name than this run" nights.log)" = 1 ]
    run verb status --json --stale-after 1h plan.toml
    echo "$output"
    [ "$status" = 1 ]
    [[ "$(jq -r '.machines[].disks[] | .point' <<< "$output")" == *"d-$one.qcow2" ]]
    [[ "$(jq -r '.machines[].disks[] | .fault' <<< "$output")" == "d-$ahead.qcow2 is as of a time to come"* ]]
    run verb status --monitor --stale-after 1h --critical-after 90m plan.toml
    echo "$output"
    [ "$status" = 2 ]
    [[ "$output" == "CRITICAL: web1 disk d: the last complete point is "*" old; web1 disk d: d-$ahead.qcow2 is as of"* ]]
    run verb restore plan.toml --to back --build "$BUILD"
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"$ahead is a time to come"* ]]
    same "$one.ref" back
    verb restore plan.toml --at "$ahead" --to ahead --build "$BUILD"
    same "$ahead.ref" ahead
}

@test "states and images on NFS, where an exclusive lock is only for who can write" {
    one_disk
    on_nfs() { LD_PRELOAD=$BUILD/tests/system/durability/storage_faults.so STORAGE_NFS=1 timeout 300 "$@"; }
    refuses 'Bad file descriptor' on_nfs flock --exclusive --nonblock 9 9< plan.toml
    for one in 1 2 3; do
        writes $one
        on_nfs "$COMMAND" run --build "$BUILD" plan.toml
        on_nfs "$COMMAND" status --json plan.toml > status.json
        [ "$(jq -c '.machines[] | [.running, .disks[].owed]' status.json)" = '[false,0]' ]
    done
    [ "$(points | grep -c ' complete')" = 3 ]
    on_nfs "$COMMAND" status --monitor plan.toml
    on_nfs "$COMMAND" restore plan.toml --to back --build "$BUILD"
    same disk.img back
    on_nfs "$COMMAND" prune plan.toml
}

@test "a disk that has grown" {
    one_disk
    nights 1 1
    truncate -s 5M disk.img
    random_file more 100K 9
    dd if=more of=disk.img bs=1M seek=4500001 oflag=seek_bytes conv=notrunc status=none
    nights 2 3
    complete 1 2 3
    for one in 1 2 3; do restored $one; done
}

@test "verify finds a byte that has changed, and an image of the chain that was exchanged" {
    one_disk
    nights 1 3
    verb verify plan.toml --all --build "$BUILD"
    # A byte of the data, which is somewhere behind the tables.
    /usr/bin/python3 - "$(image_of 2)" 2.ref <<'PY'
import sys
image, reference = (open(name, "rb").read() for name in sys.argv[1:])
at = image.index(reference[1150000:1150064])
with open(sys.argv[1], "r+b") as file:
    file.seek(at)
    file.write(bytes([image[at] ^ 1]))
PY
    run verb verify plan.toml --all --build "$BUILD"
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"$(image_of 1): its content is right"* ]]
    [[ "$output" == *"$(image_of 2): "*"at offset 1114112 "* ]]
    [[ "$output" != *"signal"* ]]
    [[ "$output" == *"$(image_of 3): "* ]]
    [[ "$output" != *"$(image_of 3): its content is right"* ]]
    # What is not right is not restored.
    refuses "has not been written" verb restore plan.toml --to never --build "$BUILD"
    [ ! -e never ]
    [ ! -e never.partial ]
    # Unless what is left of it is wanted.
    verb restore plan.toml --to left --unchecked --build "$BUILD"
    [ "$(cmp -l left 3.ref | wc -l)" = 1 ]
}

@test "verify finds a layer that has other content, though its header is the same" {
    one_disk
    nights 1 2
    qemu-io -f qcow2 -c 'write -P 7 3145728 65536' "$(image_of 1)" > /dev/null
    run verb verify plan.toml --build "$BUILD"
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"at offset 3145728 "* ]]
    # Without digests only the tables are looked at, and that is said.
    rm images/web1/*.digests
    run verb verify plan.toml --build "$BUILD"
    [ "$status" = 0 ]
    [[ "$output" == *"its content is not known"* ]]
    # And damage in those is found.
    printf '\377' | dd of="$(image_of 1)" bs=1 seek=$((0x30004)) conv=notrunc status=none
    run verb verify plan.toml --build "$BUILD"
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"qemu-img check"* ]]
}

# keep_references NIGHT: what the disks of the machine are now.
keep_references() {
    local disk
    for disk in "${!DISKS[@]}"; do cp --sparse=always "${DISKS[$disk]}" "$1.$disk.ref"; done
}
declare -A DISKS

# machine_restored NIGHT: the whole machine is restored as what its disks were at one instant.
machine_restored() {
    local disk
    rm -f back.*
    verb restore plan.toml --at "$(time_of "$1")" --to 'back.{disk}' --build "$BUILD"
    for disk in "${!DISKS[@]}"; do same "$1.$disk.ref" "back.$disk"; done
}

@test "a machine of three disks: a disk that rests, a reset of CBT, a disk that grows, a night that is killed" {
    truncate -s 4M live.img two.img three.img
    for one in live two three; do
        random_file part 1M ${#one}
        dd if=part of=$one.img bs=64K seek=3 conv=notrunc status=none
    done
    vcenter --task-ms 20 --disk 2001="$PWD/two.img" --disk 2002="$PWD/three.img"
    DISKS=([2000]=live.img [2001]=two.img [2002]=three.img)
    cat > plan.toml <<PLAN
images = "images/{vm}/{disk}-{time}.qcow2"
states = "states/{vm}/"
keep = { last = 2 }
[vcenter.main]
server = "$SERVER"
user = "$USER_NAME"
password-file = "vc.pass"
cafile = "$CA"
[[vm]]
path = "/DC0/vm/web1"
PLAN
    night 1
    keep_references 1
    random_file news 200K 4
    control "write?disk=2000&offset=1000003" --data-binary @news
    control "unmap?disk=2001&offset=196608&length=131072"
    night 2  # nothing has changed on 2002
    keep_references 2
    control "reset?disk=2001"
    control "write?disk=2001&offset=7&length=5000&byte=3"
    control "grow?disk=2002&size=$((5 << 20))"
    head -c 70000 news > piece
    control "write?disk=2002&offset=$(((5 << 20) - 70000))" --data-binary @piece
    night 3
    keep_references 3
    [ "$(verb list --json plan.toml | jq -c '[.[] | .chain]')" = '[1,2,3,1,2,1,1,2,1]' ]  # vSphere tells no changes of a disk that has grown
    # Killed: the images of the next night have its time, also those that were cut off.
    control "write?disk=2000&offset=300001&length=70000&byte=9"
    control "write?disk=2001&offset=300001&length=70000&byte=9"
    mkdir sync
    touch sync/qcow2.before_complete.hold
    REPLICATE_SYNC_DIR=$PWD/sync /usr/bin/python3 "$SOURCE/tests/system/replicate/night.py" "$BUILD" plan.toml \
        "$(time_of 4)" > run.log 2>&1 3>&- &
    run=$!
    echo $run > run.pid
    until_true 60 [ -e sync/qcow2.before_complete.held ]
    mapfile -t servers < <(children_of "$run")
    kill -KILL "$run" "${servers[@]}"
    until_true 60 all_gone "$run" "${servers[@]}"
    rm -r run.pid sync
    refuses "cannot be restored" verb restore plan.toml --at "$(time_of 4)" --to 'never.{disk}' --build "$BUILD"
    control "write?disk=2002&offset=300001&length=70000&byte=9"
    night 5
    keep_references 5
    for one in 1 2 3 5; do machine_restored $one; done
    verb verify plan.toml --all --build "$BUILD"
    verb prune plan.toml
    [ "$(verb list --json plan.toml | jq -r '[.[].time] | unique[]' | tail -1)" = "$(time_of 5)" ]
    for one in 3 5; do machine_restored $one; done
    run verb restore plan.toml --to 'back.{vm}' --build "$BUILD" --dry-run
    [ "$status" = 2 ]
    [[ "$output" == *"put {disk} into it"* ]]
}
