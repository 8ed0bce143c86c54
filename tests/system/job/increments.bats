# SPDX-License-Identifier: BSD-3-Clause
#
# An increment by each client to each kind of target, with unaligned changes and a last sector that is not whole. The
# target equals the source, nothing is owed, and not much more than the delta has been read from the source.
# The source is nbdkit's file plugin, which is fast.
load ../../lib

SIZE=$((6 * 1024 * 1024 + 777))
SECTORS=$(((SIZE + 511) / 512 * 512))

# base.raw is the disk at the previous run, disk.raw the disk now. `honest` has the extents of what has changed,
# `whole` those of a source that reports everything as changed, and `list` is for delta-map=.
prepare() {
    random_file base.raw $SIZE 1
    PYTHONPATH=$SOURCE/tests /usr/bin/python3 -B - <<'PY'
from changed_disk import ChangedDisk, K
disk = ChangedDisk()
size = len(disk.bytes)
disk.data(100 * K, 4 * K)
disk.data(200 * K + 1, 4 * K)                    # 4 KiB, aligned to nothing
disk.data(300 * K + 77, 513)
disk.data(1024 * K, 300 * K)
disk.zeroes(1500 * K + 5, 70 * K, "")            # data that reads as zeroes
disk.zeroes(2048 * K, 256 * K, "zero")
disk.zeroes(3072 * K + 513, 100 * K, "hole,zero")  # has become a hole
disk.zeroes(4096 * K, 512 * K, "hole,zero")
disk.data(5120 * K, 600 * K)                     # contains zeroes
disk.bytes[5200 * K:5264 * K] = bytes(64 * K)
disk.data(size - 777, 777)                       # the last sector, which is not whole
disk.save()
open("whole", "w").write(f"0 {size}\n")
open("list", "w").writelines(f"{offset} {length}\n" for offset, length, _ in disk.changes)
# The most that may be read: by the client, blocks of 256 KiB that overlap the delta; by apply, for what the client
# leaves out, the delta once.
def most(changes):
    steps = {s for o, l, k in changes for s in range(o // (256 * K), (o + l - 1) // (256 * K) + 1)}
    return len(steps) * 256 * K + sum(l for o, l, k in changes)
open("most", "w").write(f"{most(disk.changes)} {most([(0, size, '')])}\n")
PY
}

description='{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":'$SIZE',"mode":"delta","since":"c1","checkpoint":"c2"}'

settled() { grep -q '"checkpoint":"'"$checkpoint"'".*"owed":\[\]' web1.state 2> /dev/null; }

# source_of CHANGES: a server of the disk whose changes are told by the plugin (a file of extents), by `list`, or found by
# comparing (`digests`). Sets $checkpoint.
source_of() {
    rm -f web1.state
    checkpoint=c2
    case "$1" in
        list) start src --filter="$DELTA" file disk.raw delta-map=list delta-since=c1 delta-checkpoint=c2 ;;
        digests)
            rm -f digests digests.next
            start base --filter="$DELTA" file base.raw delta-digests=digests delta-owed=web1.state
            nbdinfo --map --totals "$(uri base)"
            checkpoint=$(checkpoint_of base)
            stop base
            echo '{"nbdkit-replicate":1,"checkpoint":"'"$checkpoint"'","source":"delta","vm":"","disk":0,"size":'$SIZE',"owed":[]}' > web1.state
            start src --filter="$DELTA" file disk.raw delta-digests=digests delta-owed=web1.state
            checkpoint=$(checkpoint_of src) ;;
        *) start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw \
            extentlist="$1" exportname-list=keep exportdesc=fixed:"$description" ;;
    esac
}
checkpoint_of() { nbdinfo --json "$(uri "$1")" | jq -r '.exports[0].description | fromjson | .checkpoint'; }

# equal FILE: it equals the disk, and all that follows in it is zero.
equal() {
    cmp -n $SIZE disk.raw "$1"
    [ "$(tail -c +$((SIZE + 1)) "$1" | tr -d '\0' | wc -c)" = 0 ]
}

# increment CHANGES TARGET CLIENT [OPTIONS...]: one copy. TARGET: raw, qcow2 or fanout. $verify, if set, is the value
# of apply-verify=.
increment() {
    local extents=$1 target=$2
    shift 2
    source_of "$extents"
    local apply=(apply-from="$(uri src)" apply-state=web1.state ${verify:+apply-verify="$verify"})
    cp --sparse=never base.raw dst.raw
    # qemu-img writes whole sectors, so the target needs space for the last one.
    if [ "$1" = qemu-img ]; then truncate -s $SECTORS dst.raw; fi
    case "$target" in
        raw) start dst --filter="$APPLY" file dst.raw "${apply[@]}" ;;
        qcow2)
            rm -f dst.qcow2
            start dst --filter="$APPLY" "$QCOW2" file=dst.qcow2 size=$SECTORS \
                backing=base.raw backing-format=raw "${apply[@]}" ;;
        fanout)
            cp --sparse=never dst.raw dr.raw
            start dr file dr.raw
            start dst --filter="$APPLY" --filter="$FANOUT" file dst.raw "${apply[@]}" \
                fanout-dest="$(uri dr)" ;;
    esac
    case "$1" in
        qemu-img) timeout 60 qemu-img convert -n -f raw -O raw "${@:2}" "$(uri src)" "$(uri dst)" ;;
        *) timeout 60 "$@" "$(uri src)" "$(uri dst)" ;;
    esac
    until_true 60 settled
    stop dst
    stop src
    must_fail grep -q 'still owed' dst.log
    case "$target" in
        raw) equal dst.raw ;;
        qcow2)
            sound dst.qcow2
            timeout 60 qemu-img convert -O raw dst.qcow2 copy.raw
            equal copy.raw ;;
        fanout)
            stop dr
            equal dst.raw
            equal dr.raw ;;
    esac
    if [ -n "${verify:-}" ]; then
        grep -q 'were compared with the source: .* all equal' dst.log
        return
    fi
    local read most
    read=$(awk '/file: pread count=/ { split($0, a, "count="); sum += a[2] } END { print sum + 0 }' src.log)
    most=$(cut -d' ' -f"$([ "$extents" = whole ] && echo 2 || echo 1)" most)
    # Here zeroes are data until they have been read, and apply compares about 18 blocks.
    case "$extents" in list | digests) most=$((most + 18 * 65536)) ;; esac
    if [ "$extents" = digests ]; then most=$((most + SIZE + 12 * 65536)); fi  # all of it once, and whole blocks
    echo "$extents to $target: $read bytes were read, at most $most"
    [ "$read" -gt 0 ]
    [ "$read" -le "$most" ]
}

# everywhere CLIENT [OPTIONS...]: increments to each kind of target. A raw file alone is in modules/apply/clients.bats.
everywhere() {
    local target
    for target in qcow2 fanout; do increment honest $target "$@"; done
    increment whole raw "$@"
    increment list qcow2 "$@"
    increment digests raw "$@"
}

@test "nbdcopy" { everywhere nbdcopy; }
@test "nbdcopy --destination-is-zero" { everywhere nbdcopy --destination-is-zero; }
@test "nbdcopy -S 0" { everywhere nbdcopy -S 0; }
@test "nbdcopy --destination-is-zero -S 0" { everywhere nbdcopy --destination-is-zero -S 0; }
@test "nbdcopy --allocated" { everywhere nbdcopy --allocated; }
@test "nbdcopy -C 1 -R 1" { everywhere nbdcopy -C 1 -R 1; }
@test "nbdcopy --synchronous --flush" { everywhere nbdcopy --synchronous --flush; }
@test "qemu-img convert -n" { everywhere qemu-img; }
@test "qemu-img convert -n --target-is-zero" { everywhere qemu-img --target-is-zero; }
@test "qemu-img convert -n -W -m 16" { everywhere qemu-img -W -m 16; }
@test "qemu-img convert -n --target-is-zero -W -m 16" { everywhere qemu-img --target-is-zero -W -m 16; }

@test "apply-verify=100 finds each kind of target equal" {
    verify=100
    for target in raw qcow2 fanout; do
        increment honest $target nbdcopy
        increment honest $target qemu-img --target-is-zero
    done
}
