# SPDX-License-Identifier: BSD-3-Clause
#
# Restore points over several nights: load ../job, then load replicate, then load points.

COMMAND=$SOURCE/scripts/nbdkit-replicate

# one_disk [KEEP]: plan.toml of a machine with one disk, disk.img, whose changes are found by digests.
one_disk() {
    random_file part 2M 1
    truncate -s 4M disk.img
    dd if=part of=disk.img bs=64K seek=16 conv=notrunc status=none
    cat > plan.toml <<PLAN
images = "images/{vm}/{disk}-{time}.qcow2"
states = "states/{vm}/"
${1:+keep = $1}
[[vm]]
name = "web1"
source = ["file", "disk.img", "delta-digests=disk.digests"]
disk-name = "d"
PLAN
}

# time_of NIGHT: {time} of its images. Night 1 is Monday, 2 November 2026.
time_of() { date -u -d "2026-11-01 01:00 $1 days" +%Y%m%dT%H%M%SZ; }

# image_of NIGHT [DISK] [VM]
image_of() { echo "images/${3:-web1}/${2:-d}-$(time_of "$1").qcow2"; }

# night NIGHT: one run.
night() { /usr/bin/python3 "$SOURCE/tests/system/replicate/night.py" "$BUILD" plan.toml "$(time_of "$1")"; }

# writes NIGHT: the guest writes, unaligned as well, and zeroes something.
writes() {
    random_file news 150K "$1"
    dd if=news of=disk.img bs=1M seek=$((700001 + $1 * 200000)) oflag=seek_bytes conv=notrunc status=none
    dd if=/dev/zero of=disk.img bs=64K seek=$((20 + $1)) count=1 conv=notrunc status=none
}

# nights FIRST LAST: a run each night, after the guest has written. What the disk was is NIGHT.ref.
nights() {
    local night
    for night in $(seq "$1" "$2"); do
        writes "$night"
        cp --sparse=always disk.img "$night.ref"
        night "$night"
    done
}

# points: each restore point, as TIME STATUS.
points() { "$COMMAND" list --json plan.toml | jq -r '.[] | "\(.time) \(.status)"'; }

# complete NIGHT...: these are complete, and there are no other points.
complete() {
    diff <(points) <(for one; do echo "$(time_of "$one") complete"; done)
}

# restored NIGHT: it is restored as what the disk was.
restored() {
    rm -f "back.$1"
    "$COMMAND" restore plan.toml --at "$(time_of "$1")" --to "back.$1" --build "$BUILD"
    same "$1.ref" "back.$1"
}
