# SPDX-License-Identifier: BSD-3-Clause
#
# A guest of QEMU is replicated by its dirty bitmaps, as nbdkit-delta-filter(1) says: a frozen view of its disk is exported
# with the bitmap, and what has changed goes into a QCOW2 image and to a further destination.
load ../../lib

guest() { /usr/bin/python3 -B "$SOURCE/tests/system/interoperation/qemu_guest.py" qmp.sock "$@"; }

# The guest's disk of 8 MiB, and its export for the guest: "guest".
prepare() {
    random_file first.raw 8M 1
    qemu-img convert -f raw -O qcow2 first.raw guest.qcow2
    qemu-storage-daemon --chardev socket,id=qmp,path=qmp.sock,server=on,wait=off --monitor qmp \
        --blockdev driver=qcow2,node-name=disk,file.driver=file,file.filename=guest.qcow2 \
        --nbd-server addr.type=unix,addr.path="$PWD/guest.sock",max-connections=0 \
        --export type=nbd,id=guest,name=guest,node-name=disk,writable=on > daemon.log 2>&1 3>&- &
    echo $! > daemon.pid
    until_true 30 [ -S qmp.sock ]
    until_true 30 listens guest
    truncate -s 8M dr.raw
    start dr file dr.raw
}

# writes COMMANDS...: of qemu-io, by the guest.
writes() {
    local commands=() command
    for command; do commands+=(-c "$command"); done
    qemu-io -f raw "${commands[@]}" "$(uri guest guest)" > /dev/null
}

# frozen FILE: what the frozen export shows.
frozen() { nbdcopy "$(uri guest frozen)" "$1"; }

# night SINCE CHECKPOINT IMAGE...: one run by the command.
night() {
    timeout 120 "$SOURCE/scripts/nbdkit-replicate" --build "$BUILD" --state web1.state \
        --from nbd uri="$(uri guest frozen)" delta-map="$(uri guest frozen)" \
        delta-map-context="qemu:dirty-bitmap:$1" delta-since="$1" delta-checkpoint="$2" delta-disk=web1 \
        --to qcow2 "${@:3}" --also "$(uri dr)" fanout-name=dr
}

new_overlay() { qemu-img create -q -f qcow2 old-blocks.qcow2 8M; }

@test "three nights: a full copy, an increment, and one that is cut off and run again" {
    # The first night: no bitmap yet, so the whole disk.
    new_overlay
    guest freeze monday
    frozen monday.raw
    writes "write -P 9 0 64k"  # is not part of monday
    timeout 120 "$SOURCE/scripts/nbdkit-replicate" --build "$BUILD" --state web1.state \
        --from nbd uri="$(uri guest frozen)" delta-map=/dev/null delta-since=none delta-checkpoint=monday \
        delta-disk=web1 --to qcow2 monday.qcow2 --also "$(uri dr)" fanout-name=dr
    guest thaw
    same first.raw monday.raw
    qemu-img compare -f raw -F qcow2 monday.raw monday.qcow2
    same monday.raw dr.raw

    writes "write -P 1 1M 64k" "write -z 3M 1M" "write -P 2 5000k 4k" "discard 6M 512k"
    new_overlay
    guest freeze tuesday monday
    frozen tuesday.raw
    writes "write -P 8 2M 256k"
    run night monday tuesday tuesday.qcow2 backing=monday.qcow2 backing-format=qcow2
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"of 8.0 MiB have changed since monday"* ]]
    guest thaw
    guest drop monday
    qemu-img compare -f raw -F qcow2 tuesday.raw tuesday.qcow2
    same tuesday.raw dr.raw
    must_fail cmp -s monday.raw tuesday.raw

    # Killed in its middle: what it owes is copied by the next run, with a bitmap that begins at tuesday or later.
    writes "write -P 3 0 4M"
    new_overlay
    guest freeze wednesday tuesday
    start src --filter="$DELTA" --filter=delay nbd uri="$(uri guest frozen)" delay-read=5 \
        delta-map="$(uri guest frozen)" delta-map-context=qemu:dirty-bitmap:tuesday delta-checkpoint=wednesday \
        delta-disk=web1 delta-owed=web1.state
    start dst --filter="$APPLY" "$QCOW2" wednesday.qcow2 backing=tuesday.qcow2 backing-format=qcow2 state=web1.state \
        apply-from="$(uri src)" apply-state=web1.state
    nbdcopy --requests=1 "$(uri src)" "$(uri dst)" 2> /dev/null &
    client=$!
    until_true 60 grep -q '"checkpoint":"wednesday"' web1.state
    stop dst KILL
    stop src KILL
    wait "$client" || true
    guest thaw
    jq -e '.owed != []' web1.state
    writes "write -P 4 7M 64k"
    guest drop tuesday
    new_overlay
    guest freeze thursday wednesday
    frozen thursday.raw
    run night wednesday thursday wednesday.qcow2 backing=tuesday.qcow2 backing-format=qcow2
    echo "$output"
    [ "$status" -eq 0 ]
    guest thaw
    qemu-img compare -f raw -F qcow2 thursday.raw wednesday.qcow2
    same thursday.raw dr.raw
    sound wednesday.qcow2
}

@test "a run that was cut off before the destination was changed: the bitmaps are merged" {
    new_overlay
    guest freeze monday
    timeout 120 "$SOURCE/scripts/nbdkit-replicate" --build "$BUILD" --state web1.state \
        --from nbd uri="$(uri guest frozen)" delta-map=/dev/null delta-since=none delta-checkpoint=monday \
        delta-disk=web1 --to qcow2 web1.qcow2
    guest thaw
    writes "write -P 1 1M 64k"
    new_overlay
    guest freeze tuesday monday
    guest thaw  # the run did not even begin
    [ "$(jq -r .checkpoint web1.state)" = monday ]
    writes "write -P 2 4M 64k"
    guest merge monday tuesday
    guest drop monday
    new_overlay
    guest freeze wednesday tuesday
    frozen wednesday.raw
    # The bitmap "tuesday" now begins at monday.
    run timeout 120 "$SOURCE/scripts/nbdkit-replicate" --build "$BUILD" --state web1.state \
        --from nbd uri="$(uri guest frozen)" delta-map="$(uri guest frozen)" \
        delta-map-context=qemu:dirty-bitmap:tuesday delta-since=monday delta-checkpoint=wednesday delta-disk=web1 \
        --to qcow2 web1.qcow2
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"of 8.0 MiB have changed since monday"* ]]
    guest thaw
    qemu-img compare -f raw -F qcow2 wednesday.raw web1.qcow2
}
