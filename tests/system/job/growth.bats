# SPDX-License-Identifier: BSD-3-Clause
#
# A disk that is larger in the next run: what is new is copied, and images grow.
load ../../lib

# run_copy CHECKPOINT SINCE [APPLY AND PLUGIN PARAMETERS...]: copies disk.raw into a QCOW2 image by its state; `list` tells what has
# changed.
run_copy() {
    local checkpoint=$1 since=$2
    shift 2
    start src --filter="$DELTA" file disk.raw delta-map=list delta-since="$since" delta-checkpoint="$checkpoint" \
        delta-disk=web1 delta-owed=web1.state
    start dst --filter="$APPLY" "${FANOUT_FILTER[@]}" "$QCOW2" image.qcow2 size="$(stat -c %s disk.raw)" \
        apply-from="$(uri src)" apply-state=web1.state "$@"
    nbdcopy --flush "${NBDCOPY[@]}" "$(uri src)" "$(uri dst)"
    stop dst
    stop src
    jq -e '.owed == []' web1.state
    [ "$(jq -r .checkpoint web1.state)" = "$checkpoint" ]
    [ "$(jq .size web1.state)" = "$(stat -c %s disk.raw)" ]
}
prepare() { FANOUT_FILTER=() NBDCOPY=(); }

# at OFFSET: writes 4 KiB there.
at() { dd if=/dev/urandom of=disk.raw bs=512 count=8 seek=$(($1 / 512)) conv=notrunc status=none; }

# grows OLD NEW [PARAMETERS...]: sizes in bytes.
grows() {
    local old=$1 new=$2
    shift 2
    truncate -s "$old" disk.raw
    at 0
    at $((old - 4096))
    : > list
    run_copy c1 c0 "$@"
    truncate -s "$new" disk.raw
    at 65536
    dd if=/dev/urandom of=disk.raw bs=512 count=1 seek=$((new / 512 - 1)) conv=notrunc status=none
    # Whoever tells what has changed need not know of what is new.
    echo "65536 4096" > list
    run_copy c2 c1 "$@"
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk.raw image.qcow2
}

@test "a disk that has grown by a sector" { grows 1048576 1049088; }

@test "a disk that has grown across the end of an L1 table" { grows 2097152 3145728 cluster-size=512; }

@test "a disk that has grown across 2 TiB" {
    NBDCOPY=(--destination-is-zero)  # what is left out is zeroed when the client has gone
    grows 1073741824 2199024304640
}

@test "further destinations: one that is large enough gets what is new, one that is not is named" {
    mkdir fanout
    truncate -s 2M large.raw
    truncate -s 1M small.raw
    start large file large.raw
    start small file small.raw
    FANOUT_FILTER=(--filter="$FANOUT")
    grows 1048576 1572864 fanout-on-error=detach fanout-state=fanout fanout-dest="$(uri large)" fanout-name=large \
        fanout-dest="$(uri small)" fanout-name=small
    cmp -n 1572864 disk.raw large.raw
    grep 'small: .* has 1048576 bytes' dst.log
    grep '1572864' dst.log
    # Enlarged, it gets what it is owed by the next run.
    stop small
    truncate -s 1572864 small.raw
    start small file small.raw
    : > list
    run_copy c3 c2 fanout-on-error=detach fanout-state=fanout fanout-dest="$(uri large)" fanout-name=large \
        fanout-dest="$(uri small)" fanout-name=small
    same disk.raw small.raw
    jq -e '.owed == []' fanout/small.json
}

@test "a disk that has shrunk is refused, and nothing is changed" {
    truncate -s 2M disk.raw
    at 0
    : > list
    run_copy c1 c0
    cp image.qcow2 before.qcow2
    truncate -s 1M disk.raw
    start src --filter="$DELTA" file disk.raw delta-map=list delta-since=c1 delta-checkpoint=c2 delta-disk=web1 \
        delta-owed=web1.state
    must_fail nbdinfo "$(uri src)"
    grep 'the disk has shrunk; nothing was changed; remove the state' src.log
    same before.qcow2 image.qcow2
}

@test "a source that does not say which disk it is: grown or another one" {
    start src --filter="$DELTA" memory 2M delta-owed=web1.state
    echo '{"nbdkit-replicate":1,"checkpoint":"c1","source":"vsphere","vm":"vm-1","disk":2000,"size":1048576,"owed":[]}' > web1.state
    stop src
    start src --filter="$DELTA" memory 2M delta-owed=web1.state
    must_fail nbdinfo "$(uri src)"
    grep 'has grown or is another one' src.log
}

@test "a source that does not show what is new is refused" {
    truncate -s 1M disk.raw
    at 0
    : > list
    run_copy c1 c0
    truncate -s 2M disk.raw
    # Without delta-owed=, so it does not know how large the disk was.
    start src --filter="$DELTA" file disk.raw delta-map=list delta-since=c1 delta-checkpoint=c2 delta-disk=web1
    refuses "what is new is not in the source's delta" nbdkit -U - --filter="$APPLY" "$QCOW2" image.qcow2 size=2M \
        apply-from="$(uri src)" apply-state=web1.state --run true
}
