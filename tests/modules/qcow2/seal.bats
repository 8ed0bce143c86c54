# SPDX-License-Identifier: BSD-3-Clause
load qcow2

@test "seal=on: the image gets its name when it is complete, and not before" {
    random_file disk 5M
    # No client has written or flushed: not complete.
    try image.qcow2 size=5M seal=on
    [ -e image.qcow2.partial ]
    [ ! -e image.qcow2 ]
    start a "$QCOW2" image.qcow2 size=5M seal=on
    shell a -c 'h.pwrite(b"x" * 1000, 0)' -c 'h.flush()' -c 'h.pwrite(b"y" * 1000, 0)'
    stop a
    grep -q "keeps its name: no client has flushed" a.log
    sound image.qcow2.partial
    [ ! -e image.qcow2 ]
    # Killed: the next run continues with it.
    start b "$QCOW2" image.qcow2 size=5M seal=on
    copy --flush disk "$(uri b)"
    stop b KILL
    [ ! -e image.qcow2 ]
    start c "$QCOW2" image.qcow2 size=5M seal=on
    copy "$(uri c)" back
    same disk back
    shell c -c 'h.flush()'
    stop c
    [ -e image.qcow2 ]
    [ ! -e image.qcow2.partial ]
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    # Complete: not written to again by mistake.
    refuses "exists and is complete" try image.qcow2 size=5M seal=on
    refuses "exists and is complete" try image.qcow2 size=5M seal=on create=never
    cp image.qcow2 before
    random_file disk 5M 2
    start d "$QCOW2" image.qcow2 size=5M seal=on create=always
    copy --flush disk "$(uri d)"
    same before image.qcow2
    stop d
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    [ ! -e image.qcow2.partial ]
    refuses "create=never: " try new.qcow2 seal=on create=never
}

# Under apply: seal=@STATE, the name follows the state file. The source's disk is whole.
full_source() {
    random_file disk 16M 1
    start_source
    command=(--filter="$APPLY" "$QCOW2" file=image.qcow2 size=16M seal=@state apply-from="$(uri src)" apply-state=state)
}
# nbdkit 1.32 may abort when its client is killed while several threads answer it, and the source's server with
# it: it is started anew then.
start_source() {
    stop src
    start src --filter="$DELTA" --filter=exportname file disk exportname-list=keep exportdesc=fixed:'{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":2000,"size":16777216,"mode":"full","checkpoint":"c1"}'
}
half='h.pwrite(open("disk", "rb").read(8 << 20), 0)'
again() {
    timeout 120 nbdkit -U - "${command[@]}" "$@" --run 'nbdcopy --flush "'"$(uri src)"'" "$uri"'
}

@test "seal=@STATE: however a run is interrupted the image is partial, and the same command completes it" {
    full_source
    for way in nobody half flushed client-killed server-killed terminated; do
        echo "way: $way"
        rm -f image.qcow2* state* written
        start d "${command[@]}"
        case $way in
            nobody) ;;
            half) shell d -c "$half" ;;
            flushed) shell d -c "$half" -c 'h.flush()' ;;
            client-killed)
                run shell d -c "$half" -c 'import os, signal' -c 'os.kill(os.getpid(), signal.SIGKILL)'
                [ "$status" -eq 137 ] ;;
            server-killed) shell d -c "$half" -c 'h.flush()'; stop d KILL ;;
            terminated)
                shell d -c "$half" -c 'import os, signal' -c 'print(os.getpid(), file=open("written", "w"))' \
                    -c 'signal.pause()' &
                client=$!
                until_true 60 [ -s written ]
                kill -TERM "$(cat d.pid)"
                kill -KILL "$(cat written)"
                wait "$client" || true ;;
        esac
        stop d
        [ ! -e image.qcow2 ]
        [ -e image.qcow2.partial ]
        start_source
        again
        [ -e image.qcow2 ]
        [ ! -e image.qcow2.partial ]
        sound image.qcow2
        qemu-img compare -f raw -F qcow2 disk image.qcow2
        # And once more, complete as it is.
        again
        [ ! -e image.qcow2.partial ]
        qemu-img compare -f raw -F qcow2 disk image.qcow2
    done
}

@test "seal=@STATE with create=always: the old image stays until the new one is complete" {
    full_source
    again
    cp image.qcow2 before.qcow2
    rm state*
    start d "${command[@]}" create=always
    shell d -c "$half"
    stop d
    grep -q "image.qcow2.partial keeps its name: .*state owes" d.log
    [ -e image.qcow2.partial ]
    same before.qcow2 image.qcow2
    again create=always
    [ ! -e image.qcow2.partial ]
    sound image.qcow2
    qemu-img compare -f raw -F qcow2 disk image.qcow2
    must_fail same before.qcow2 image.qcow2
    refuses "seal=@" try new.qcow2 size=1M seal=@
    refuses "seal=" try image.qcow2 read-only=on seal=@state
}

@test "an image that clients of the filter pull have changed is no copy of one instant, and stays partial" {
    state() { echo '{"nbdkit-replicate":1,"checkpoint":"c1","source":"test","vm":"vm-1","disk":2000,"size":1048576,"owed":[],"pull":"'"$1"'"}' > state; }
    state written
    start d "$QCOW2" image.qcow2 size=1M seal=@state
    shell d -c 'h.pwrite(b"a" * 512, 0)' -c 'h.flush()'
    stop d
    grep -q 'image.qcow2.partial keeps its name: .*clients of nbdkit-pull-filter have changed it' d.log
    [ ! -e image.qcow2 ]
    state unchanged
    start d "$QCOW2" image.qcow2 size=1M seal=@state
    stop d
    [ -e image.qcow2 ]
}

@test "the export says which image it is and what it lies on; an image of QEMU has no description" {
    try base.qcow2 size=1M
    qemu-img create -q -f qcow2 foreign.qcow2 1M
    description() { timeout 60 nbdkit -U - "$QCOW2" "$@" --run 'nbdinfo --json "$uri"' | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["exports"][0].get("description", "none"))'; }
    description base.qcow2 > base
    grep -qE '^\{"nbdkit-replicate-image":1,"image":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}","below":\[\]\}$' base
    uuid=$(sed 's/.*"image":"\([^"]*\)".*/\1/' base)
    description base.qcow2 read-only=on | diff - base
    description over.qcow2 backing=base.qcow2 backing-format=qcow2 > over
    grep -q '"below":\["'"$uuid"'"\]' over
    must_fail grep -q '"image":"'"$uuid"'"' over
    [ "$(description foreign.qcow2)" = none ]
    # QEMU keeps it.
    qemu-img amend -f qcow2 -o lazy_refcounts=on over.qcow2
    description over.qcow2 backing=auto | diff - over
    umask 0
    try mode.qcow2 size=1M
    [ "$(stat -c %a mode.qcow2)" = 600 ]
}

@test "state=: the export says whether the image is complete, also where it has no name to tell it by" {
    full_source
    command=(--filter="$APPLY" "$QCOW2" file=image.qcow2 size=16M state=state apply-from="$(uri src)" apply-state=state)
    description() { timeout 60 nbdkit -U - "$QCOW2" image.qcow2 read-only=on --run 'nbdinfo --json "$uri"' | jq -r '.exports[0].description'; }
    start d "${command[@]}"
    shell d -c "$half" -c 'h.flush()'
    stop d
    [ "$(description | jq -c '[.complete, .checkpoint]')" = '[false,null]' ]
    start_source
    again
    [ "$(description | jq -c '[.complete, .checkpoint]')" = '[true,"c1"]' ]
    refuses "not the same file" try image.qcow2 seal=@state state=other
    refuses "state=" try image.qcow2 read-only=on state=state
}
