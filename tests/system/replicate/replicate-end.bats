# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate: nothing is left behind, whatever ends it, and the source ends in order, whatever ends nbdcopy.
load ../job
load replicate

OPTIONS+=(--state web1.state)

eval "$(declare -f teardown | sed 's/^teardown/stop_servers/')"
teardown() {
    stop_servers
    if mountpoint -q "$BATS_TEST_TMPDIR/small"; then umount -l "$BATS_TEST_TMPDIR/small"; fi
}

# machine ARGUMENTS...: starts the simulator, and sets FROM.
machine() {
    vcenter "$@"
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" vm=/DC0/vm/web1 disk=2000)
}

# in_the_middle: begins a run whose source is held, and returns when it has written something.
in_the_middle() {
    machine
    hold_source
    FROM+=("${PIECEWISE[@]}")
    begin "${FROM[@]}" --to qcow2 web1.qcow2
    midway web1.qcow2
}

# source_ended_in_order: of the run whose messages are in run.log.
source_ended_in_order() {
    must_fail grep -E 'signal 6|Assertion|Broken pipe|source server ended' run.log
    [ "$(snapshots)" = 0 ]
    [ -z "$(ls tmp)" ]
}

# small_copy SIZE: a copy to an image on a full file system has failed, with status 1 and messages in run.log.
small_copy() {
    mkdir small
    mount -t tmpfs -o size="$1" none small 2> /dev/null || skip "cannot mount a tmpfs"
    local status=0
    replicate_now "${FROM[@]}" --to qcow2 small/web1.qcow2 > run.log 2>&1 || status=$?
    cat run.log
    [ "$status" = 1 ]
}

@test "the destination is full: the source ends in order, and the cause is the last line" {
    machine
    small_copy 4M
    source_ended_in_order
    [[ "$(tail -n 1 run.log)" == *"not complete: destination: "*"small/web1.qcow2: No space left on device"* ]]
    # Said once; twice if the run took longer to end than an error is held back.
    [ "$(grep -c 'No space left' run.log)" -le 2 ]
    must_fail grep -q debug: run.log
    # Room again: the same command finishes the work.
    mount -o remount,size=60M small
    replicate_now "${FROM[@]}" --to qcow2 small/web1.qcow2
    qemu-img compare -f raw -F qcow2 live.img small/web1.qcow2
}

@test "the destination is full, and its plugin does not say which file it is" {
    random_file disk.img 16M
    mkdir small
    mount -t tmpfs -o size=4M none small 2> /dev/null || skip "cannot mount a tmpfs"
    truncate -s 16M small/copy.raw
    run replicate_now --from file disk.img --to file small/copy.raw
    echo "$output"
    [ "$status" = 1 ]
    # The file plugin of nbdkit 1.48 says which.
    [[ "${lines[-1]}" == *"destination: "*"No space left on device (small/copy.raw); run the same"* ||
        "${lines[-1]}" == *"destination: pwrite: "*"/small/copy.raw: "*"No space left on device; run the same"* ]]
    must_fail grep -qE 'signal 6|Assertion' <<< "$output"
}

@test "the source cannot be read: its error is the last line" {
    cat > source.sh <<'SH'
case "$1" in
    get_size) echo 4M ;;
    pread) echo EIO the tape is torn >&2; exit 1 ;;
    *) exit 2 ;;
esac
SH
    chmod +x source.sh
    run replicate_now --from sh ./source.sh --to qcow2 copy.qcow2
    echo "$output"
    [ "$status" = 1 ]
    [[ "${lines[-1]}" == *"not complete: source: "*"the tape is torn"*"run the same command again"* ]]
}

@test "the source cannot be asked: its error is the last line" {
    cat > source.sh <<'SH'
case "$1" in
    get_size) echo EIO the tape is lost >&2; exit 1 ;;
    *) exit 2 ;;
esac
SH
    chmod +x source.sh
    run replicate_now --from sh ./source.sh --to qcow2 copy.qcow2
    echo "$output"
    [ "$status" = 1 ]
    [[ "${lines[-1]}" == "nbdkit-replicate: source: "*"the tape is lost"* ]]
}

@test "nbdcopy is killed: the source ends in order, and the next run continues" {
    in_the_middle
    kill -KILL "$(nbdcopy_of "$run")"
    release_source
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 1 ]
    [[ "$(tail -n 1 run.log)" == *"nbdcopy ended with signal 9"* ]]
    source_ended_in_order
    replicate_now "${FROM[@]}" --to qcow2 web1.qcow2
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
}

@test "a second signal, at once: the source ends in order" {
    in_the_middle
    interrupt TERM INT
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 1 ]
    source_ended_in_order
    replicate_now "${FROM[@]}" --to qcow2 web1.qcow2
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
}

@test "a source of another plugin that does not answer: a second signal ends it" {
    start quiet memory 1M
    kill -STOP "$(cat quiet.pid)" # the kernel accepts its connections
    begin --from nbd socket="$PWD/quiet.sock" --to qcow2 copy.qcow2
    until_true 60 connected_to quiet
    kill -TERM "$run"
    until_true 60 grep -q 'a second signal' run.log
    must_fail gone "$run"
    kill -TERM "$run"
    until_true 60 gone "$run"
    stop quiet KILL
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 1 ]
    [[ "$(tail -n 1 run.log)" == *"interrupted; "* ]]
    [ -z "$(ls tmp)" ]
}
# connected_to NAME: somebody waits for NAME.sock to take a connection.
connected_to() { [ "$(grep -c " $PWD/$1.sock\$" /proc/net/unix)" -gt 1 ]; }

# instead_of PROGRAM: in the PATH there is another one, which leaves its ID in PROGRAM.pid and goes on as PROGRAM once
# its parent has ended.
instead_of() {
    local real
    real=$(command -v "$1")
    mkdir -p path
    cat > "path/$1" <<SH
#!/bin/sh
echo \$\$ > $PWD/$1.new && mv $PWD/$1.new $PWD/$1.pid
while kill -0 \$PPID; do sleep 0.02; done 2> /dev/null
exec $real "\$@"
SH
    chmod +x "path/$1"
}

# killed_while_starting PROGRAM: kill -9 of the run while PROGRAM has been started and does nothing yet; nothing is
# left of it then.
killed_while_starting() {
    instead_of "$1"
    truncate -s 1M disk.img
    PATH=$PWD/path:$PATH begin --from file disk.img --to qcow2 copy.qcow2
    until_true 60 [ -s "$1.pid" ]
    kill -KILL "$run"
    wait "$run" || true
    until_true 20 gone "$(cat "$1.pid")"
}

@test "kill -9 before a server is bound to the run: it is not started" { killed_while_starting setpriv; }

@test "kill -9 before a server is nbdkit: it is not started" { killed_while_starting nbdkit; }

@test "the directory of a run that was killed is removed by the next one, that of a living one is not" {
    in_the_middle
    local living
    living=$(ls tmp)
    mkdir tmp/nbdkit-replicate.other-user
    chmod 700 tmp/nbdkit-replicate.other-user
    chown 65534 tmp/nbdkit-replicate.other-user || rmdir tmp/nbdkit-replicate.other-user
    random_file disk.img 1M
    other() { replicate_now --state other.state --from file disk.img --to qcow2 other.qcow2; }
    other
    [ -e "tmp/$living/source.sock" ]
    # Its servers use it for as long as they need to end.
    interrupt KILL
    until_true 60 all_gone "${servers[@]}"
    [ -d "tmp/$living" ]
    other
    [ "$(ls tmp)" = "$(ls -d tmp/*other-user 2> /dev/null | sed s,tmp/,,)" ]
    [ ! -e "tmp/$living" ]
}

@test "-v: the debug messages of both servers, as they are; errors with the name of the server" {
    truncate -s 1M disk.img
    run replicate_now -v --from file disk.img --to qcow2 copy.qcow2
    [ "$status" = 0 ]
    grep -q '^nbdkit: .*debug: ' <<< "$output"
    must_fail grep -q 'nbdkit-replicate: .*debug:' <<< "$output"
    rm copy.* web1.state
    run replicate_now --from file disk.img --to sh ./missing.sh
    echo "$output"
    [ "$status" = 1 ]
    must_fail grep -q '^nbdkit: ' <<< "$output"
    [[ "${lines[-1]}" == *"the destination server did not start: "* ]]
}

# ends_badly SOCKET: in the PATH there is an nbdkit whose server on that socket does all its work, and exits with 1.
ends_badly() {
    local real
    real=$(command -v nbdkit)
    mkdir -p path
    cat > path/nbdkit <<SH
#!/bin/bash
case " \$*" in *" -U "*"/$1 -P "*) ;; *) exec $real "\$@" ;; esac
$real "\$@" &
trap 'kill \$!' TERM
wait \$!
wait \$!
exit 1
SH
    chmod +x path/nbdkit
}

@test "a server that ends badly after everything has been copied: the run has failed" {
    local real=$PATH socket
    random_file disk.img 1M
    for socket in source.sock 0.sock; do
        ends_badly "$socket"
        PATH=$PWD/path:$real run replicate_now --from file disk.img --to qcow2 copy.qcow2
        echo "$output"
        [ "$status" = 1 ]
        [[ "$output" == *"server ended with status 1"* ]]
        [[ "${lines[-1]}" == *"the copy is not complete"*"run the same command again"* ]]
        qemu-img compare -f raw -F qcow2 disk.img copy.qcow2
    done
}

# swapped_midway FILE: nbdcopy, before it ends, puts an equal file under the name of the one that is written.
swapped_midway() {
    mkdir -p path
    cat > path/nbdcopy <<SH
#!/bin/sh
$(command -v nbdcopy) "\$@" || exit
cp $1 $1.new
mv $1 $1.right
mv $1.new $1
SH
    chmod +x path/nbdcopy
}

@test "the file of another plugin is replaced during the run: that has failed, and the next one copies everything" {
    random_file disk.img 1M
    truncate -s 1M copy.raw
    swapped_midway copy.raw
    PATH=$PWD/path:$PATH run replicate_now --from file disk.img --to file copy.raw
    echo "$output"
    [ "$status" = 1 ]
    [[ "${lines[-1]}" == *"copy.raw was moved, removed or replaced"* ]]
    [ "$(jq -c '[.checkpoint, .owed]' web1.state)" = '["",[[0,1048576]]]' ]
    replicate_now --from file disk.img --to file copy.raw
    same disk.img copy.raw
}

@test "the image is replaced after the last flush: it is not called complete, and the same command completes it" {
    random_file disk.img 1M
    swapped_midway copy.qcow2
    PATH=$PWD/path:$PATH run replicate_now --from file disk.img --to qcow2 copy.qcow2
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"copy.qcow2 is no longer the file that is written"* ]]
    [[ "${lines[-1]}" == *"not complete"*"run the same command again"* ]]
    replicate_now --from file disk.img --to qcow2 copy.qcow2
    qemu-img compare -f raw -F qcow2 disk.img copy.qcow2
}
