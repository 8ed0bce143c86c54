# SPDX-License-Identifier: BSD-3-Clause
#
# Comparing with the source: apply-verify=.
load ../../lib
load apply

# lies OFFSET: changes two bytes at the source. The map does not show it.
lies() { printf '\377\376' | dd of=disk.raw bs=1 seek="$1" conv=notrunc status=none; }
full_copy_owed() { [ "$(jq -c '[.checkpoint, .owed]' web1.state)" = '["",[[0,16777216]]]' ]; }

@test "apply-verify=100 finds a change that the source left out, wherever it is" {
    for offset in 0 524286 1048575 8388608 16775000; do
        rm -f web1.state
        prepare
        lies $offset
        source_server
        destination_server apply-verify=100
        timeout 60 nbdcopy "$(uri src)" "$(uri dst)" || true
        until_true 20 full_copy_owed
        stop dst
        said dst "error: the destination differs from the source at offset $offset,"
        stop src
    done
    # The same command again. The source shows the whole disk, because the checkpoint is empty.
    start src --filter="$DELTA" --filter=exportname file disk.raw exportname-list=keep \
        exportdesc=fixed:'{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":16777216,"mode":"full","checkpoint":"c2"}' \
        delta-owed=web1.state
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state apply-verify=100
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
}

@test "a difference that is found while a client is connected fails its requests" {
    lies 8388608
    source_server
    destination_server apply-verify=100
    python '
deadline = time.monotonic() + 120
while "differs from the source" not in open("dst.log").read():
    assert time.monotonic() < deadline
    time.sleep(0.02)
def fails(f, *arguments):
    try:
        f(*arguments)
    except nbd.Error as e:
        return e.errno == "EIO"
    return False
assert fails(h.flush)
assert fails(h.pwrite, b"x" * 512, 524288)
assert fails(h.zero, 512, 524288)
assert fails(h.trim, 512, 524288)
assert len(h.pread(512, 0)) == 512
'
    full_copy_owed
    # No further client is let in.
    must_fail timeout 60 nbdinfo --size "$(uri dst)"
    stop dst
    same base.raw dst.raw
}

@test "apply-verify logs what was compared if all is equal, and no error" {
    copies_verified() {
        rm -f web1.state
        source_server
        cp --sparse=never base.raw dst.raw
        start dst --filter="$APPLY" $below file dst.raw apply-from="$(uri src)" apply-state=web1.state "$@"
        timeout 60 nbdcopy --flush "$(uri src)" "$(uri dst)"
        until_true 20 owes_nothing
        stop dst
        same disk.raw dst.raw
        said dst "blocks outside the delta were compared with the source: .* all equal"
        [ -z "$(grep 'error: ' dst.log | grep -v 'error: warning: ')" ]
        stop src
    }
    copies_verified apply-verify=100 apply-stats=stats
    # All that is outside the delta.
    outside=$(awk '$2 && $3 == "hole" { sum += $2 } END { print sum }' honest)
    compared=$(awk '$1 == "nbdkit_apply_compared_bytes_total" { print $2 }' stats)
    [ "$compared" -gt $((outside - 40 * 512)) ]
    [ "$compared" -le "$outside" ]
    below="--filter=noparallel" copies_verified apply-verify=100
    copies_verified apply-verify=20%
}

@test "apply-verify finds a destination that is not what the state says" {
    source_server
    destination_server apply-verify=100
    printf 'xx' | dd of=dst.raw bs=1 seek=9000000 conv=notrunc status=none
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)" || true
    until_true 20 full_copy_owed
    until_true 20 said dst "offset 9000000, .*not the one that apply-state=.* was written for"
}

@test "an emptied destination is found without apply-verify, and not with apply-verify=off" {
    source_server
    truncate -s 16M dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state"
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)" || true
    until_true 20 full_copy_owed
    stop dst
    said dst "error: the destination differs from the source at offset"
    # nbdkit 1.32 may have aborted when its client failed.
    stop src
    source_server
    local value
    for value in off 0; do
        rm -f web1.state
        start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state" \
            apply-verify=$value
        timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
        until_true 20 owes_nothing
        stop dst
    done
}

@test "nothing is compared, and nothing fails, where the source has no export honest" {
    cp disk.raw dst.raw
    start src --filter=exportname file disk.raw exportname-strict=true exportname=
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state"
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 jq -e '.owed == []' web1.state
    stop dst
    said dst "nothing is compared with the source"
    [ -z "$(grep 'error: ' dst.log | grep -v 'error: warning: ')" ]
    [ "$(jq -c .owed web1.state)" = '[]' ]
}

@test "apply-verify wants a source that can be read, and a percentage" {
    cp base.raw dst.raw
    echo '[{"offset":0,"length":16777216,"type":0}]' > map.json
    refused "apply-verify wants the source's bytes" apply-from=map.json apply-state=web1.state apply-verify=5
    for value in 101 -1 x "" 5x; do
        refused "apply-verify=$value: must be a percentage" apply-from=map.json apply-state=web1.state apply-verify=$value
    done
    # A server that has no export "honest".
    start src --filter=exportname file disk.raw exportname-strict=true exportname=
    refused "honest" apply-from="$(uri src)" apply-state=web1.state apply-verify=5
}
