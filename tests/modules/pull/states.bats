# SPDX-License-Identifier: BSD-3-Clause
#
# What source and state must have to do with each other, and what other programs make of a state of pull.
load ../../lib
load pull

# description MODE SINCE CHECKPOINT [DISK]
description() {
    local since=
    [ -z "$2" ] || since='"since":"'$2'",'
    echo '{"nbdkit-replicate":1,"source":"test","vm":"vm-1","disk":'"${4:-2000}"',"size":8388608,"mode":"'$1'",'"$since"'"checkpoint":"'$3'"}'
}
# described DESCRIPTION ARGUMENTS...: a source with a description.
described() {
    local text=$1
    shift
    start src --filter=exportname "$@" file src.raw exportname-list=keep exportdesc=fixed:"$text"
}
refused_state() { refuses "$1" timeout 60 nbdkit -fU - --filter="$PULL" file dst.raw pull-from="$(uri src)" pull-state="$PWD/state"; }
# begun: some of the disk is here, and the server was killed.
begun() {
    over_file pull-rate=4K
    python 'h.pread(1, 2 * M)'
    until_true 60 eval '[ "$(owed)" -lt $((8 << 20)) ]'
    stop p KILL
    [ "$(owed)" -gt 0 ]
}

@test "the same checkpoint goes on; another disk, checkpoint or size is refused, and changes nothing" {
    described "$(description full '' c1)"
    begun
    before=$(cat state)
    stop src
    described "$(description full '' c2)"
    refused_state 'what is here is of "c1", and the source shows "c2"'
    stop src
    described "$(description full '' c1 2001)"
    refused_state 'that state is of test vm-1 disk 2000, and the source is test vm-1 disk 2001'
    stop src
    start src file src.raw
    refused_state 'the source does not say what it shows'
    stop src
    truncate -s 9M other.raw
    start src file other.raw
    refused_state 'that state is of a disk of 8388608 bytes, and the source has 9437184'
    stop src
    [ "$(cat state)" = "$before" ]
    described "$(description full '' c1)"
    over_file
    whole
    stop p
    same src.raw dst.raw
    jq -e '.checkpoint == "c1" and .source == "test" and .pull == "unchanged"' state
}

@test "a source that becomes another one while the server runs is not used" {
    described "$(description full '' c1)"
    over_file pull-rate=100K "${QUICK[@]}"
    python 'h.pread(M, 2 * M)'
    stop src
    described "$(description full '' c2)"
    until_true 60 said 'the source is not the one that was there at the start'
    python '
try:
    h.pread(1, 7 * M)
    raise SystemExit("no error")
except nbd.Error as e:
    assert e.errno == "EIO", e
assert h.pread(M, 2 * M) == src[2 * M:3 * M]'
    stop p
    [ "$(owed)" -gt 0 ]
}

@test "a source that becomes one of changes alone while the server runs is not used" {
    described "$(description full '' c1)"
    over_file pull-rate=100K "${QUICK[@]}"
    python 'h.pread(M, 2 * M)'
    stop src
    described "$(description delta c0 c1)"
    until_true 60 said 'it shows only what has changed'
    stop p
    [ "$(owed)" -gt 0 ]
}

@test "a state that owes nothing: what has changed at the source and cannot be told is said, and is not left out" {
    described "$(description full '' c1)"
    over_file
    whole
    stop p
    cp state before
    # What has changed cannot be read.
    stop src
    start src --filter=error --filter=exportname file src.raw error-extents=EIO error-extents-rate=100% \
        exportname-list=keep exportdesc=fixed:"$(description delta c1 c2)"
    refused_state 'cannot read the map'
    [ "$(cat state)" = "$(cat before)" ]
    # It is not told.
    stop src
    described "$(description full '' c2)"
    over_file
    until_true 60 said 'nothing is owed; the source is not needed'
    said 'warning: pull-state=.*what is here is of "c1", and the source shows "c2", but not what has changed'
    stop p
    # It is of another disk, or says nothing.
    stop src
    described "$(description full '' c2 2001)"
    over_file
    until_true 60 said 'nothing is owed; the source is not needed'
    said 'warning: pull-state=.*and the source is test vm-1 disk 2001: nothing is owed, and nothing is fetched from it'
    stop p
    stop src
    start src file src.raw
    over_file
    until_true 60 said 'nothing is owed; the source is not needed'
    said 'warning: pull-state=.*the source does not say what it shows: nothing is owed, and nothing is fetched from it'
    stop p
    # A source that does not answer in time, one that is not there, and the same as before.
    kill -STOP "$(cat src.pid)"
    over_file pull-connect-timeout=0.2
    until_true 60 said 'nothing is owed; the source is not needed'
    said 'warning: .*what is here stays as of "c1"'
    stop p
    cp state before
    jq -c '.checkpoint = ""' before > state
    over_file pull-connect-timeout=0.2
    until_true 60 said 'nothing is owed; the source is not needed'
    said 'warning: .*what is here stays as it is: whether something has changed'
    stop p
    cp before state
    stop src KILL
    over_file
    until_true 60 said 'nothing is owed; the source is not needed'
    must_fail said 'warning'
    stop p
    described "$(description full '' c1)"
    over_file
    until_true 60 said 'nothing is owed; the source is not needed'
    must_fail said 'warning'
}

@test "what was fetched is owed until a new connection confirms that the source still shows it" {
    local confirms
    confirms=$(description full '' c1)
    described "${confirms%\}},\"confirm\":\"connection\"}"
    truncate -s 8M dst.raw
    export REPLICATE_SYNC_DIR=$PWD
    touch pull.before_confirm.hold
    over_file "${QUICK[@]}"
    until_true 60 test -e pull.before_confirm.held
    # Now it shows something else.
    stop src KILL
    confirms=$(description full '' c2)
    described "${confirms%\}},\"confirm\":\"connection\"}"
    rm pull.before_confirm.hold
    until_true 60 said 'the source is not the one that was there at the start'
    stop p
    [ "$(owed)" -eq $((8 << 20)) ]
}

@test "a run of apply that was cut off: what it owes is fetched, and the disk used meanwhile" {
    described "$(description full '' c1)" --filter="$DELTA"
    truncate -s 8M dst.raw
    start a --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/state"
    /usr/bin/python3 - "$(uri a)" <<'PY'
import json, nbd, os, signal, sys
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(open("src.raw", "rb").read(3 << 20), 0)
h.flush()
os.kill(int(open("a.pid").read()), signal.SIGKILL)
PY
    stop a
    over_file
    whole
    stop p
    same src.raw dst.raw
    [ "$(metric fetched_bytes_total)" -le $((6 << 20)) ]
}

@test "a copy that nobody has written to takes the next increment; one that was written to is refused by apply" {
    described "$(description full '' c1)"
    over_file
    whole
    stop p
    stop src
    # The next increment.
    cp src.raw old.raw
    printf 'changed' | dd of=src.raw bs=1 seek=1000000 conv=notrunc status=none
    echo '0 983040 hole
983040 65536 0
1048576 7340032 hole' > changes
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file src.raw extentlist=changes \
        exportname-list=keep exportdesc=fixed:"$(description delta c1 c2)"
    cp state before
    pull file dst.raw
    whole
    stop p
    same src.raw dst.raw
    [ "$(metric fetched_bytes_total)" -le $((1 << 20)) ]
    # Or by apply.
    cp before state
    cp old.raw dst.raw
    start a --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/state"
    timeout 60 nbdcopy --flush "$(uri src)" "$(uri a)"
    until_true 60 eval 'owes_nothing && grep -q c2 state'
    stop a
    same src.raw dst.raw
    # Not if it was written to.
    cp before state
    cp old.raw dst.raw
    stop src
    described "$(description full '' c1)"
    pull file dst.raw
    python 'h.pwrite(b"w", 0)'
    stop p
    stop src
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file src.raw extentlist=changes \
        exportname-list=keep exportdesc=fixed:"$(description delta c1 c2)"
    refuses 'the destination has been used since' timeout 60 nbdkit -U - --filter="$APPLY" file dst.raw \
        apply-from="$(uri src)" apply-state="$PWD/state" --run true
    grep -q '"pull":"written"' state
    printf '{"nbdkit-replicate":1,"checkpoint":"c1","source":"test","vm":"vm-1","disk":2000,"size":8388608,"pull":"written","owed":[[983040,512]]}' > state
    refused_state 'the destination has been used since "c1"'
}

@test "a state of a run whose source had no name for what it showed is refused" {
    source_server
    truncate -s 8M dst.raw
    echo '{"nbdkit-replicate":1,"checkpoint":"","source":"","vm":"","disk":0,"size":8388608,"owed":[[0,512]]}' > state
    refused_state 'that state does not say of which instant'
}

@test "another image than the state's is refused" {
    source_server
    pull "$QCOW2" file="$PWD/one.qcow2" size=8M pull-rate=4K
    python 'h.pwrite(b"w", 0); h.flush()'
    stop p
    pull "$QCOW2" file="$PWD/two.qcow2" size=8M
    must_fail timeout 60 nbdinfo "$(uri p)" 2> /dev/null
    said 'that state is of the image'
    stop p
    # With pull-image=any it is taken at the user's word.
    pull "$QCOW2" file="$PWD/two.qcow2" pull-image=any pull-rate=4K
    timeout 60 nbdinfo --size "$(uri p)"
    stop p
    pull "$QCOW2" file="$PWD/two.qcow2"
    whole
}
