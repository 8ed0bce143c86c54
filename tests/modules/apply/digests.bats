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

@test "a run that is killed leaves no digests; the one that continues it reads what it has written" {
    full
    source_server
    target tuesday.qcow2 backing=monday.qcow2 backing-format=qcow2 apply-digests-parent=monday.qcow2.digests
    python 'h.pwrite(disk[512*K:768*K], 512*K)
h.flush()
import os, signal
os.kill(int(open("dst.pid").read()), signal.SIGKILL)
os._exit(0)'
    stop dst KILL
    stop src
    [ ! -e tuesday.qcow2.digests ]
    jq -e '.checkpoint == "c2" and .owed != []' web1.state

    # The guest has gone on to c3: what is owed is added by the delta filter.
    echo "0 16777216 hole" > none
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw extentlist=none \
        exportname-list=keep exportdesc=fixed:"$(description c2 c3)" delta-owed=web1.state
    target tuesday.qcow2 backing=monday.qcow2 backing-format=qcow2 apply-digests-parent=monday.qcow2.digests
    nbdcopy --flush "$(uri src)" "$(uri dst)"
    stop dst
    read -r sent parent read <<< "$(taken)"
    # What lies outside both deltas is taken from monday, and the four blocks that the first run wrote are read.
    [ "$parent" = 208 ]
    [ "$read" -ge 4 ]
    [ "$read" -le 16 ]
    verified tuesday.qcow2 disk.raw
}

@test "any client: small and unaligned requests, zeroes, several connections" {
    full
    cp web1.state monday.state
    source_server
    target tuesday.qcow2 backing=monday.qcow2 backing-format=qcow2 apply-digests-parent=monday.qcow2.digests
    qemu-img convert -n -f raw -O raw -S 4k "$(uri src)" "$(uri dst)"
    stop dst
    verified tuesday.qcow2 disk.raw

    rm tuesday.qcow2*
    cp monday.state web1.state
    target tuesday.qcow2 backing=monday.qcow2 backing-format=qcow2 apply-digests-parent=monday.qcow2.digests
    nbdcopy --flush --request-size=4096 --connections=4 --threads=4 "$(uri src)" "$(uri dst)"
    stop dst
    verified tuesday.qcow2 disk.raw
    must_fail grep -q warning dst.log
}

@test "a digest file that cannot be written harms no copy" {
    mkdir digests
    source_server
    cp base.raw dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state apply-digests=digests/dst
    rm -r digests
    nbdcopy --flush "$(uri src)" "$(uri dst)"
    stop dst
    same disk.raw dst.raw
    owes_nothing
    [ "$(grep -c 'there are no digests of this copy' dst.log)" = 1 ]
}

@test "digests of another image of the same disk are refused" {
    full
    increment
    # As if the wrong file had been copied beside the image.
    start check --filter="$DELTA" "$QCOW2" file=tuesday.qcow2 read-only=on backing=auto delta-check=monday.qcow2.digests
    must_fail nbdinfo "$(uri check)"
    grep "the digests are of" check.log
}

@test "what does not go together is refused" {
    cp base.raw dst.raw
    source_server
    common=(apply-from="$(uri src)" apply-state=web1.state)
    refused "needs apply-digests=" "${common[@]}" apply-digests-parent=f
    refused "must not be empty" "${common[@]}" apply-digests=
    refused "cannot write to the directory" "${common[@]}" apply-digests=none/f
}
