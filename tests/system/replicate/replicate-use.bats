# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate use: a replica, whole or not, is served at once; the rest is fetched meanwhile.
load ../job
load replicate

# disk: disk.raw, of 4 MiB, which is called as a checkpoint, so that it is the same when the source is started again.
disk() {
    random_file disk.raw 4M 3
    fallocate --punch-hole --offset 1M --length 512K disk.raw
    echo '0 4194304' > list
    FROM=(--from file disk.raw delta-map=list delta-since=monday delta-checkpoint=tuesday)
}
# use ARGUMENTS...: in the background, as $use; returns when there are URIs, in `uris`. What it says is in use.log.
use() {
    rm -f uris
    "$SOURCE/scripts/nbdkit-replicate" use "${OPTIONS[@]}" "$@" > uris 2> use.log 3>&- &
    use=$!
    echo $use > use.pid
    until_true 60 eval '[ -s uris ] || gone "$use"' 2> /dev/null
    [ -s uris ] || { cat use.log; return 1; }
}
# ended [SIGNAL]: the signal is sent to it, and it ends; its exit status is $status.
ended() {
    kill "-${1:-INT}" "$use"
    status=0
    wait "$use" || status=$?
    cat use.log
    rm use.pid
}
whole() { until_true 60 grep -q 'everything is here' use.log; }
# client CODE: runs it with h connected to the first URI, and disk as the disk's bytes.
client() {
    timeout 60 /usr/bin/python3 - "$(sed -n '1s/.* //;1p' uris)" <<PY
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
disk = open("disk.raw", "rb").read()
$1
PY
}

@test "nothing has been copied yet: it is read at once, becomes complete, and the next run is an increment" {
    disk
    TO=(--to qcow2 web1.qcow2)
    use --state web1.state "${FROM[@]}" "${TO[@]}" pull-rate=4K pull-chunk=64K
    client '
assert h.pread(65536, 3 << 20) == disk[3 << 20:][:65536]
assert h.is_read_only()'
    must_fail grep -q 'everything is here' use.log
    # Nothing else may use the state meanwhile.
    refuses 'in use by another process' replicate_now --state web1.state "${FROM[@]}" "${TO[@]}"
    ended INT
    [ "$status" -eq 1 ]
    [[ "$(tail -1 use.log)" == *"is still owed; run the same command again"* ]]
    [ -z "$(ls tmp)" ]
    # Again, at a place of its own.
    use --state web1.state "${FROM[@]}" "${TO[@]}" --socket "$PWD/mine.sock"
    [ "$(cat uris)" = "nbd+unix:///?socket=$PWD/mine.sock" ]
    whole
    until_true 60 grep -q 'the source is not needed any more' use.log
    until_true 60 eval '[ "$(children_of "$use" | wc -l)" = 1 ]'
    client 'assert h.pread(4 << 20, 0) == disk'
    ended TERM
    [ "$status" -eq 0 ]
    [[ "$(tail -1 use.log)" == *"web1.state: complete, as of tuesday" ]]
    [ ! -e mine.sock ]
    qemu-img compare -f raw disk.raw -F qcow2 web1.qcow2
    # It is a replica like any other.
    printf changed | dd of=disk.raw bs=1 seek=70000 conv=notrunc status=none
    echo '65536 65536' > list
    FROM=(--from file disk.raw delta-map=list delta-since=tuesday delta-checkpoint=wednesday)
    run replicate_now --state web1.state "${FROM[@]}" "${TO[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"0.1 MiB of 4.0 MiB have changed"* ]]
    qemu-img compare -f raw disk.raw -F qcow2 web1.qcow2
    # Whole: no source is needed, nor asked for.
    use --state web1.state "${TO[@]}"
    client 'assert h.pread(4 << 20, 0) == disk'
    ended INT
    [ "$status" -eq 0 ]
    jq -e '.checkpoint == "wednesday" and .owed == []' web1.state
}

@test "what a run owes is fetched while clients read and write; kill -9, and it goes on; the run refuses it then" {
    disk
    truncate -s 4M copy.raw
    RUN=(--state web1.state "${FROM[@]}" --to file copy.raw)
    begin --client pull "${RUN[@]}" pull-rate=16K pull-chunk=64K
    until_true 60 eval '[ "$(jq "[.owed[][1]] | add" web1.state 2> /dev/null || echo 4194304)" -lt 4194304 ]'
    kill -TERM "$run"
    wait "$run" || true
    owed=$(jq '[.owed[][1]] | add' web1.state)
    [ "$owed" -gt 0 ]
    : > list
    use "${RUN[@]}" pull-rate=64K pull-chunk=64K --write
    client '
h.pwrite(b"w" * 5000, (3 << 20) + 77)
h.flush()
assert h.pread(8192, 3 << 20) == disk[3 << 20:][:77] + b"w" * 5000 + disk[(3 << 20) + 5077:][:8192 - 5077]'
    mapfile -t servers < <(children_of "$use")
    kill -KILL "$use" "${servers[@]}"
    wait "$use" || true
    until_true 60 all_gone "${servers[@]}"
    use "${RUN[@]}" pull-stats="$PWD/stats" --write
    whole
    ended INT
    [ "$status" -eq 0 ]
    [[ "$(tail -1 use.log)" == *"whole, and changed by clients: it is no replica any more" ]]
    [ "$(sed -n 's/^nbdkit_pull_fetched_bytes_total //p' stats)" -le "$owed" ]
    /usr/bin/python3 -c '
disk, copy = open("disk.raw", "rb").read(), open("copy.raw", "rb").read()
at = (3 << 20) + 77
assert copy == disk[:at] + b"w" * 5000 + disk[at + 5000:]'
    refuses 'the destination has been used since' replicate_now "${RUN[@]}"
    # A writable one that is whole.
    use --state web1.state --to file copy.raw --write
    client 'h.pwrite(b"x", 5); h.flush()'
    ended INT
    [ "$(head -c 6 copy.raw | tail -c 1)" = x ]
}

@test "scratch: what clients write is gone at the end, and the replica is one still" {
    disk
    replicate_now --state web1.state "${FROM[@]}" --to qcow2 web1.qcow2
    use --state web1.state --to qcow2 web1.qcow2 --scratch
    client 'h.pwrite(b"x" * 4096, 0); assert h.pread(4096, 0) == b"x" * 4096'
    ended INT
    [ "$status" -eq 0 ]
    qemu-img compare -f raw disk.raw -F qcow2 web1.qcow2
    jq -e '.pull == "unchanged"' web1.state
    : > list
    replicate_now --state web1.state "${FROM[@]}" --to qcow2 web1.qcow2
}

@test "the source is lost: what is here is read; the same command goes on" {
    random_file disk.raw 4M 3
    replicate_source=(--from file disk.raw delta-map=/dev/null delta-since=monday delta-checkpoint=tuesday)
    use --state web1.state "${replicate_source[@]}" --to qcow2 web1.qcow2 pull-rate=4K pull-chunk=64K \
        pull-retries=0 pull-retry-max=0.2
    client 'assert h.pread(65536, 3 << 20) == disk[3 << 20:][:65536]'
    kill -KILL "$(pgrep -P "$use" -f -- '-U [^ ]*/source.sock')"
    until_true 60 grep -q 'the source has ended' use.log
    client '
assert h.pread(65536, 3 << 20) == disk[3 << 20:][:65536]
try:
    h.pread(512, 2 << 20)
    raise SystemExit("no error")
except nbd.Error:
    pass'
    ended INT
    [ "$status" -eq 1 ]
    use --state web1.state "${replicate_source[@]}" --to qcow2 web1.qcow2
    whole
    ended INT
    [ "$status" -eq 0 ]
    qemu-img compare -f raw disk.raw -F qcow2 web1.qcow2
}

@test "several disks, some whole; a further destination gets what is fetched" {
    mkdir src dr
    for disk in a b; do
        random_file "src/$disk" 1M "${#disk}"
        truncate -s 1M "dr/$disk"
    done
    start dr file dir=dr
    RUN=(--state web1/ --from file dir=src --to qcow2 'file={disk}.qcow2' --also "$(uri dr '{disk}')" 'fanout-name=dr-{disk}')
    use "${RUN[@]}"
    until_true 60 eval '[ "$(sed "s/ .*//" uris | paste -sd" ")" = "a b" ]'
    until_true 60 eval '[ "$(grep -c "everything is here" use.log)" = 2 ]'
    ended INT
    [ "$status" -eq 0 ]
    for disk in a b; do
        qemu-img compare -f raw "src/$disk" -F qcow2 "$disk.qcow2"
        same "src/$disk" "dr/$disk"
    done
    use "${RUN[@]}" --disk b --socket b.sock
    [ "$(cat uris)" = "b nbd+unix:///?socket=$PWD/b.sock" ]
    ended INT
    [ "$status" -eq 0 ]
    refuses 'several disks would listen there' "$SOURCE/scripts/nbdkit-replicate" use "${RUN[@]}" --socket x.sock
}

@test "a machine of a plan: its last point, and what an interrupted run has begun" {
    load points
    one_disk
    nights 1 1
    use plan.toml web1
    [ -s uris ]
    timeout 60 nbdcopy "$(sed 's/.* //' uris)" back.raw
    same 1.ref back.raw
    refuses 'another run of this machine is under way' "$COMMAND" use plan.toml web1 --build "$BUILD"
    ended INT
    [ "$status" -eq 0 ]
    complete 1
    nights 2 2
    complete 1 2
    # A run that has been cut off.
    random_file cut 1M 5
    dd if=cut of=disk.img bs=1M seek=2 conv=notrunc status=none
    sed -i '1i target-parameters = ["pull-rate=4K", "pull-chunk=64K"]\nclient = "pull"' plan.toml
    "$COMMAND" run --build "$BUILD" plan.toml > run.log 2>&1 &
    run=$!
    until_true 60 eval 'ls images/web1/*.partial > ls.log 2>&1'
    until_true 60 eval '[ "$(jq "[.owed[][1]] | add // 0" states/web1/d.state)" -gt 0 ]'
    kill -TERM "$run"
    wait "$run" || true
    cat run.log
    sed -i 1,2d plan.toml
    use plan.toml web1
    whole
    timeout 60 nbdcopy "$(sed 's/.* //' uris)" back.raw
    same disk.img back.raw
    ended INT
    [ "$status" -eq 0 ]
    [ "$(points | grep -c complete)" = 3 ]
    must_fail ls images/web1/*.qcow2.partial
}

@test "what clients have written to a point stays when its state is given up, and prune comes" {
    load points
    one_disk '{ last = 1 }'
    ln -s disk.img disk.raw
    nights 1 1
    use plan.toml web1 --write
    [ -e "$(image_of 1).used" ]
    ended INT
    must_fail test -e "$(image_of 1).used"
    complete 1
    use plan.toml web1 --write
    client 'h.pwrite(b"w" * 65536, 65536); h.flush()'
    ended INT
    qemu-img convert -O raw "$(image_of 1).partial" written.raw
    must_fail same 1.ref written.raw
    rm -rf states disk.digests
    nights 2 3
    run "$COMMAND" prune plan.toml
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == *"$(basename "$(image_of 1)").partial is not kept, but stays for now: clients of use have written to it"* ]]
    qemu-img compare -f qcow2 -F raw "$(image_of 1).partial" written.raw
    # Until somebody removes it.
    rm "$(image_of 1).partial"
    "$COMMAND" prune plan.toml
    must_fail test -e "$(image_of 1).used"
    complete 2 3
}

@test "wrong use, and what cannot be used" {
    disk
    command=("$SOURCE/scripts/nbdkit-replicate" use "${OPTIONS[@]}")
    refuses 'give a plan and a machine of it, or --state' "${command[@]}"
    refuses '--to is missing' "${command[@]}" --state web1.state
    refuses 'not everything is here yet: give --from' "${command[@]}" --state web1.state --to qcow2 web1.qcow2
    [ "$status" -eq 2 ]
    refuses 'is that of a single disk' "${command[@]}" --state web1.state "${FROM[@]}" --to qcow2 web1.qcow2 --disk 2000
    echo data > busy
    refuses 'busy exists, and is no socket' "${command[@]}" --state web1.state "${FROM[@]}" --to qcow2 web1.qcow2 --socket busy
    replicate_now --state web1.state "${FROM[@]}" --to qcow2 web1.qcow2
    mv web1.qcow2 away.qcow2
    refuses 'web1.qcow2' "${command[@]}" --state web1.state --to qcow2 web1.qcow2
    [ ! -e web1.qcow2 ]
    [ -z "$(ls tmp)" ]
}

@test "a virtual machine that is off: used, interrupted, fetched with another snapshot; not if it has changed" {
    random_file live.img 6M 7
    vcenter
    FROM=(--from vsphere server="$SERVER" user=$USER_NAME password=+vc.pass cafile="$CA" vm=/DC0/vm/web1 disk=2000)
    RUN=(--state web1.state "${FROM[@]}" --to qcow2 file=web1.qcow2 seal=on)
    ln -s live.img disk.raw
    use "${RUN[@]}" pull-rate=64K pull-chunk=64K --write
    client 'h.pwrite(b"w" * 1000, 5 << 20); h.flush()'
    ended INT
    [ "$status" -eq 1 ]
    [ "$(snapshots)" = 0 ]
    jq -e '.pull == "written"' web1.state
    cp web1.state before.state
    cp web1.qcow2.partial before.qcow2
    use "${RUN[@]}" --write
    whole
    ended INT
    [ "$status" -eq 0 ]
    [ "$(snapshots)" = 0 ]
    cp live.img used.raw
    head -c 1000 /dev/zero | tr '\0' w | dd of=used.raw bs=1 seek=$((5 << 20)) conv=notrunc status=none
    qemu-img compare -f raw used.raw -F qcow2 web1.qcow2.partial
    # With a change of what is owed it would be a disk of two points in time.
    mv before.qcow2 web1.qcow2.partial
    cp before.state web1.state
    control "write?disk=2000&offset=$((4 << 20))&length=512&byte=77"
    refuses 'has changed at the source' timeout 60 "$SOURCE/scripts/nbdkit-replicate" use "${OPTIONS[@]}" "${RUN[@]}" --write
    [ "$(snapshots)" = 0 ]
    same web1.state before.state
}
