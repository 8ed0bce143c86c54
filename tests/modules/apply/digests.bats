# SPDX-License-Identifier: BSD-3-Clause
#
# apply-digests=: digests of what the destination holds, by which an image is verified later.
load ../../lib
load apply

# A full copy to monday.qcow2, and an increment to tuesday.qcow2 over it; each with digests.
full() {
    start src --filter="$DELTA" --filter=exportname file base.raw exportname-list=keep \
        exportdesc=fixed:"$(description "" c1 | sed 's/"delta"/"full"/')"
    target monday.qcow2 size=16M "$@"
    nbdcopy --flush "$(uri src)" "$(uri dst)"
    stop dst
    stop src
}
increment() {
    source_server
    target tuesday.qcow2 backing=monday.qcow2 backing-format=qcow2 apply-digests-parent=monday.qcow2.digests "$@"
    nbdcopy --flush "$(uri src)" "$(uri dst)"
    stop dst
    stop src
}
target() {
    local image=$1
    shift
    start dst --filter="$APPLY" "$QCOW2" file="$image" apply-from="$(uri src)" apply-state=web1.state \
        apply-digests="$image.digests" "$@"
}

# verified IMAGE RAW: what is read of the image is what the digests say, and the content of RAW.
verified() {
    nbdkit -U - --filter="$DELTA" "$QCOW2" file="$1" read-only=on backing=auto delta-check="$1.digests" \
        --run 'nbdcopy "$uri" restored.raw'
    same "$2" restored.raw
}

# taken: how many blocks were known from what was sent, taken from the parent, and read.
taken() { sed -n 's/.*blocks are complete: \([0-9]*\) of what was sent, \([0-9]*\) of the parent, \([0-9]*\) of .*/\1 \2 \3/p' dst.log; }

@test "a full copy and an increment: the points can be verified, and only blocks in parts are read" {
    full
    [ "$(stat -c '%a %s' monday.qcow2.digests)" = "600 $((8192 + 256 * 16))" ]
    [ "$(taken)" = "256 0 0" ]
    [ ! -e monday.qcow2.digests.partial ]
    increment
    # 16 MiB are 256 blocks.
    read -r sent parent read <<< "$(taken)"
    [ $((sent + parent + read)) = 256 ]
    [ "$parent" = 208 ]
    [ "$read" -le 12 ]
    verified monday.qcow2 base.raw
    verified tuesday.qcow2 disk.raw
}

@test "rot in a layer below is found in the point above it" {
    full
    increment
    /usr/bin/python3 - <<'PY'
base = open("base.raw", "rb").read()
image = bytearray(open("monday.qcow2", "rb").read())
at = image.index(base[10 << 20:(10 << 20) + 4096])
image[at + 4000] ^= 1
open("monday.qcow2", "wb").write(image)
PY
    start check --filter="$DELTA" "$QCOW2" file=tuesday.qcow2 read-only=on backing=auto delta-check=tuesday.qcow2.digests
    must_fail nbdcopy --connections=1 --requests=1 "$(uri check)" restored.raw
    grep "the block of 65536 bytes at offset 10485760 is not what was written" check.log
}
