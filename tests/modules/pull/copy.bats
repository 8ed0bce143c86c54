# SPDX-License-Identifier: BSD-3-Clause
#
# pull-copy=on: a copy without a client, over apply, which keeps the state.
load ../../lib
load pull

# view FILTER-PARAMETERS...: a source that shows 64 KiB at 1 MiB, 64 KiB at 1.5 MiB and the zeroes from 4 to 5 MiB of
# src.raw as the delta from c1 to c2.
view() {
    echo '0 1048576 hole
1048576 65536 0
1114112 458752 hole
1572864 65536 0
1638400 2555904 hole
4194304 1048576 zero
5242880 3145728 hole' > changes
    start src --filter="$DELTA" --filter=exportname --filter=extentlist "$@" file src.raw extentlist=changes \
        exportname-list=keep exportdesc=fixed:"$(description delta c1 c2)"
}
description() {
    echo '{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":8388608,"mode":"'"$1"'","since":"'"$2"'","checkpoint":"'"$3"'"}'
}
# copying PLUGIN...: begins a copy, in the background, as p. What it says is in p.log.
copying() {
    rm -f p.sock
    nbdkit -fv -U p.sock -P p.ready --filter="$PULL" --filter="$APPLY" "$@" pull-from="$(uri src)" pull-copy=on \
        pull-stats="$PWD/stats" apply-from="$(uri src)" apply-state="$PWD/state" "${QUICK[@]}" > p.log 2>&1 3>&- &
    echo $! > p.pid
}
# copied: it has ended; its exit status is $status.
copied() {
    until_true 60 gone "$(cat p.pid)"
    status=0
    wait "$(cat p.pid)" || status=$?
    sed '/debug:/d' p.log
}
copy() {
    copying "$@"
    copied
}
# held PLUGIN...: as copying; returns when something has been fetched.
held() {
    : > reads
    hold
    copying "$@"
    until_true 60 eval '[ "$(wc -l < reads)" -gt 3 ]'
}
# The state of a copy as of c1, which is old.raw.
before() {
    echo '{"nbdkit-replicate":1,"checkpoint":"c1","source":"test","vm":"vm-1","disk":2000,"size":8388608,"owed":[]}' > state
    random_file old.raw 8M 9
    cp old.raw dst.raw
}

@test "what has changed is copied, and nothing else is fetched or written; then the server ends" {
    view
    before
    copy file dst.raw apply-verify=off
    [ "$status" -eq 0 ]
    jq -e '.owed == [] and .checkpoint == "c2" and .pull == null' state
    for part in '0 1048576 old' '1048576 65536 src' '1114112 458752 old' '1572864 65536 src' '1638400 2555904 old' \
        '4194304 1048576 src' '5242880 3145728 old'; do
        read -r offset length from <<< "$part"
        cmp -i "$offset" -n "$length" "$from.raw" dst.raw
    done
    [ "$(metric fetched_bytes_total)" -eq 131072 ]
    # Nothing has changed since: it ends at once.
    echo '0 8388608 hole' > changes
    stop src
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file src.raw extentlist=changes \
        exportname-list=keep exportdesc=fixed:"$(description delta c2 c3)"
    cp dst.raw same.raw
    copy file dst.raw apply-verify=off
    [ "$status" -eq 0 ]
    jq -e '.owed == []' state
    same same.raw dst.raw
}

@test "a whole disk into a new image, with digests; its zeroes are not fetched" {
    start src --filter="$DELTA" file src.raw delta-digests=d delta-owed=state
    copy "$QCOW2" file=dst.qcow2 size=8M seal=@state apply-digests=dst.digests pull-chunk=256K
    [ "$status" -eq 0 ]
    qemu-img compare -f raw -F qcow2 src.raw dst.qcow2
    [ "$(metric fetched_bytes_total)" -eq $((6 << 20)) ]
    stop src
    timeout 60 nbdkit -U - --filter="$DELTA" "$QCOW2" dst.qcow2 read-only=on delta-check=dst.digests \
        --run 'nbdcopy "$uri" back.raw'
    same src.raw back.raw
}

@test "the source is lost: the reason, and the end; the same command goes on" {
    truncate -s 8M dst.raw
    held_delta
    held file dst.raw pull-chunk=64K pull-workers=1
    until_true 60 grep -qx 1048576 reads # held; what comes before it is here
    stop src KILL
    copied
    said 'error: pull: the copy is given up: pull-from=.*cannot connect'
    must_fail said 'tried again'
    [ "$(owed)" -gt 0 ]
    release
    held_delta
    copy file dst.raw
    [ "$status" -eq 0 ]
    owes_nothing
    same src.raw dst.raw
}
# held_delta: a source whose reads from 1M on can be held; a full copy.
held_delta() {
    start src --filter="$DELTA" eval get_size="echo 8M" thread_model="echo parallel" can_multi_conn="exit 0" \
        can_extents="exit 3" export_description="echo '$(description full '' c1)'" \
        pread="echo \$4 >> $PWD/reads; $(held_from 1048576)
            dd if=$PWD/src.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none" \
        delta-owed="$PWD/state"
}

@test "SIGTERM: all that has arrived is not owed; the same command completes it" {
    truncate -s 8M dst.raw
    held_delta
    held file dst.raw pull-chunk=64K pull-workers=1
    until_true 60 grep -qx 1048576 reads # held; what comes before it is here
    stop_copy TERM
    [ "$(owed)" -le $((7 << 20)) ]
    completes
}

@test "kill -9: what a flush has covered is not owed; the same command completes it" {
    truncate -s 8M dst.raw
    hold
    held_delta
    release
    # Slow enough for several flushes.
    copying file dst.raw pull-chunk=64K pull-rate=512K
    until_true 60 eval '[ -e state ] && [ "$(owed)" -lt 8388608 ]'
    stop_copy KILL
    [ "$(owed)" -gt 0 ]
    completes
}
# stop_copy SIGNAL: ends the copy; reads of the source are not held any more.
stop_copy() {
    kill "-$1" "$(cat p.pid)"
    release
    copied
    stop src
}
completes() {
    held_delta
    copy file dst.raw
    [ "$status" -eq 0 ]
    owes_nothing
    same src.raw dst.raw
}

@test "the layer below fails: its reason, and the end; clients are refused; wrong use" {
    view
    before
    copy --filter=error file dst.raw error-pwrite=ENOSPC error-pwrite-rate=100% apply-verify=off
    [ "$(owed)" -gt 0 ]
    said 'error: .*injecting ENOSPC error'
    # A layer that cannot be opened.
    rm state
    copy memory 1M
    said 'error: the destination has 1048576 bytes'
    [ ! -e state ]
    refuses 'pull-copy=on keeps no state' timeout 60 nbdkit -fU - --filter="$PULL" file dst.raw pull-from="$(uri src)" \
        pull-copy=on pull-state="$PWD/state"
    refuses 'this is not a delta view' timeout 60 nbdkit -fU - --filter="$PULL" file dst.raw pull-from="$(uri src honest)" \
        pull-copy=on
    stop src
    held_delta
    truncate -s 8M dst.raw
    rm -f state
    held file dst.raw
    must_fail timeout 60 nbdinfo "$(uri p)" 2> /dev/null
    said 'serves no clients'
    release
}
