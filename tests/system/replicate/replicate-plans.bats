# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate run PLAN: many machines, limits, failures, hooks, the time window, shards. The disks are small: what is
# copied and how is tested elsewhere.
load ../job
load replicate

# machines N [ARGUMENTS...]: starts the simulator with machines web1 to webN in /DC0/vm/prod, vm-42 and so on, each with a
# disk 2000 that is diskI.img.
machines() {
    local count=$1 i given=()
    shift
    for ((i = 1; i <= count; i++)); do
        truncate -s 2M "disk$i.img"
        random_file part 300K "$i"
        dd if=part of="disk$i.img" bs=64K seek=3 conv=notrunc status=none
        if [ "$i" -gt 1 ]; then given+=(--vm "/DC0/vm/prod/web$i=vm-$((41 + i))" --disk 2000="$PWD/disk$i.img"); fi
    done
    ln -sf disk1.img live.img
    VM=/DC0/vm/prod/web1 vcenter --task-ms 20 "${given[@]}" "$@"
}

# plan [LINES...]: writes plan.toml for the folder, with these lines at its head.
plan() {
    {
        printf '%s\n' "$@"
        cat << END
images = "images/{vm}/{disk}-{time}.qcow2"
states = "states/{vm}"
[vcenter.main]
server = "$SERVER"
user = "$USER_NAME"
password-file = "vc.pass"
cafile = "$CA"
parameters = ["timeout=20"]
[[folder]]
path = "/DC0/vm/prod"
END
    } > plan.toml
}

run_plan() { timeout 120 "$SOURCE/scripts/nbdkit-replicate" run plan.toml "${OPTIONS[@]}" "$@"; }

# status_is N COMMAND...: its exit status; what it says is in said.
status_is() {
    local expected=$1 status=0
    shift
    "$@" > said 2>&1 || status=$?
    cat said
    [ "$status" = "$expected" ]
}

# points VM: the number of its complete images.
points() { find "images/$1" -name '*.qcow2' 2> /dev/null | wc -l; }
newest() { find "images/$1" -name '*.qcow2' | sort | tail -1; }

@test "a folder of machines, night after night: each night a point of each machine" {
    machines 3
    plan
    local night i
    for night in 1 2 3; do
        run_plan
        for i in 1 2 3; do
            [ "$(points "web$i")" = "$night" ]
            qemu-img compare -f raw -F qcow2 "disk$i.img" "$(newest "web$i")"
            control "write?vm=vm-$((41 + i))&offset=$((night * 100000))&length=70000&byte=$((night + i))"
            [ "$(jq -r .result "$(find "states/web$i/runs" -name '*.json' | sort | tail -1)")" = done ]
        done
        [ "$(snapshots)" = 0 ]
    done
    # An increment each, over the point before.
    qemu-img info --backing-chain "$(newest web2)" | grep -c '^file format: qcow2' | grep -qx 3
    # The command itself has asked once a night, for all machines.
    [ "$(control state | jq .soap.CreateContainerView)" = 3 ]
    [ "$(control state | jq .sessions)" = 0 ]
    [ -z "$(ls tmp)" ]
}

@test "a log that has no room keeps no machine from being done" {
    machines 2
    plan
    run_plan 2> /dev/full
    local i
    for i in 1 2; do
        [ "$(jq -r .result "states/web$i"/runs/*.json)" = done ]
        qemu-img compare -f raw -F qcow2 "disk$i.img" "$(newest "web$i")"
    done
    [ "$(snapshots)" = 0 ]
}

# peak COMMAND...: runs it, and prints the most memory that it or a program below it has had, in KiB.
peak() {
    /usr/bin/python3 - "$@" << 'PY'
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=sys.stderr, check=False).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
PY
}

@test "20 machines, of which 2 fail: 18 are done; never more at once than the limits; memory has a bound" {
    machines 20 --host --hosts 4
    plan
    cat >> plan.toml << END
[limits]
machines = 6
per-host = 2
END
    control 'fault?where=CreateSnapshot_Task&kind=TooManySnapshots&count=2'
    status_is 1 peak timeout 300 "$SOURCE/scripts/nbdkit-replicate" run plan.toml "${OPTIONS[@]}"
    [ "$(tail -1 said)" -lt $((96 * 1024)) ]
    grep -q '18 of 20 machines are done' said
    [ "$(grep -c 'is not complete: .*too many snapshots' said)" = 2 ]
    [ "$(find images -name '*.qcow2' | wc -l)" = 18 ]
    local most
    most=$(control state | jq -c .most_snapshots)
    echo "$most"
    [ "$(jq .all <<< "$most")" -le 6 ]
    [ "$(jq .all <<< "$most")" -ge 3 ]
    jq -e 'del(.all) | length == 4 and all(. <= 2)' <<< "$most"
    local failed
    mapfile -t failed < <(grep -oP 'web[0-9]+(?= is not complete)' said)
    status_is 0 run_plan "${failed[@]}"
    grep -q '2 of 2 machines are done' said
    [ "$(find images -name '*.qcow2' | wc -l)" = 20 ]
}

@test "a run of a plan that is ended or killed: no snapshot is left, and the same again completes it" {
    machines 3
    plan
    local signal
    for signal in TERM KILL; do
        hold_source 0
        "$SOURCE/scripts/nbdkit-replicate" run plan.toml "${OPTIONS[@]}" > run.log 2>&1 3>&- &
        local run=$! status=0
        until_true 60 snapshots_exist
        kill -$signal $run
        [ $signal = KILL ] || until_true 60 grep -q "SIG$signal: the run ends" run.log
        release_source
        wait $run || status=$?
        cat run.log
        until_true 60 no_snapshots_exist
        if [ $signal = TERM ]; then
            [ "$status" = 1 ]
            grep -q '0 of 3 machines are done' run.log
            grep -q 'web3 is not complete: .*interrupted' run.log
        fi
    done
    # Their servers have ended, too, and let go of the states.
    until_true 60 run_plan
    local i
    for i in 1 2 3; do qemu-img compare -f raw -F qcow2 "disk$i.img" "$(newest "web$i")"; done
}
snapshots_exist() { [ "$(snapshots)" != 0 ]; }
no_snapshots_exist() { [ "$(snapshots)" = 0 ]; }

@test "one of many fails: the others are done, it is named with its cause" {
    machines 4
    plan
    sed -i 's/\[\[folder\]\]/&\nexclude = ["web3"]/' plan.toml
    printf '[vm.%s]\n%s\n' files 'source = ["file", "missing.img"]' gone 'path = "/DC0/vm/prod/web33"' >> plan.toml
    status_is 1 run_plan --dry-run
    grep -q 'gone: vCenter main has no virtual machine /DC0/vm/prod/web33; did you mean /DC0/vm/prod/web3?' said
    [ "$(grep -cE '^(web[124]|files|gone)$' said)" = 5 ]
    status_is 1 run_plan
    grep -q '3 of 5 machines are done' said
    tail -2 said | grep -q 'files is not complete: .*missing.img: No such file or directory'
    tail -2 said | grep -q 'gone is not complete: vCenter main has no virtual machine /DC0/vm/prod/web33; did you mean /DC0/vm/prod/web3?'
    [ "$(points web4)" = 1 ]
    [ "$(points web3)" = 0 ]
    [ "$(jq -r .result states/files/runs/*.json)" = incomplete ]

    # Named machines alone.
    status_is 1 run_plan files web1
    [ "$(points web1)" = 2 ]
    [ "$(points web2)" = 1 ]
    status_is 2 run_plan web9
    grep -q 'the plan has no machine web9; it has files, gone, web1, web2, web4' said
}

@test "a password that is refused is tried once, by none of the machines" {
    machines 4
    plan
    printf wrong > vc.pass
    printf '[[vm]]\nname = "files"\nsource = ["file", "disk1.img"]\n' >> plan.toml
    status_is 4 run_plan
    # What has nothing to do with that vCenter is done.
    grep -q '1 of 2 machines are done' said
    tail -1 said | grep -q 'folder /DC0/vm/prod is not complete: vCenter main .*: the user name or the password is wrong'
    [ "$(points files)" = 1 ]
    status_is 4 run_plan --dry-run
    # Also where no folder is looked into.
    sed -i '/^\[\[folder/,$d' plan.toml
    printf '[vm.web%d]\npath = "/DC0/vm/prod/web%d"\n' 1 1 2 2 3 3 >> plan.toml
    status_is 4 run_plan
    [ "$(grep -c 'web[123] is not complete: .*the user name or the password is wrong' said)" = 3 ]
    [ "$(control state | jq .soap.Login)" = 3 ]
    [ "$(control state | jq '[.vms[].taken] | add')" = 0 ]
}

@test "hooks: before, after and on failure; one that fails or hangs does not hurt" {
    machines 1
    mkdir hooks
    cat > hook << 'END'
#!/bin/bash
jq -c . >> hooks/$1
case $1 in
    before) exit 3 ;;
    after) sleep 1000 & echo $! > sleep.pid; wait ;;
esac
END
    chmod +x hook
    plan
    cat >> plan.toml << END
[[vm]]
name = "files"
source = ["file", "missing.img"]
[hooks]
before = ["./hook", "before"]
after = ["./hook", "after"]
failure = ["./hook", "failure"]
deadline = "20s"
END
    status_is 1 run_plan
    grep -q 'web1: warning: the hook before ended with status 3: ./hook' said
    grep -q 'web1: warning: the hook after has not ended within 20 seconds and was killed: ./hook' said
    until_true 60 gone "$(cat sleep.pid)"
    [ "$(jq -r .vm hooks/before | sort | tr '\n' ' ')" = 'files web1 ' ]
    [ "$(jq -r '.vm + " " + .result + " " + .disks[0].disk' hooks/after)" = 'web1 done 2000' ]
    [ "$(jq -r '.vm + " " + .result' hooks/failure)" = 'files incomplete' ]
    jq -r .cause hooks/failure | grep -q missing.img
    qemu-img compare -f raw -F qcow2 disk1.img "$(newest web1)"
}

@test "outside the time window nothing is begun" {
    machines 1
    plan "window = \"$(date -d '2 hours' +%H:%M)-$(date -d '3 hours' +%H:%M)\""
    status_is 5 run_plan
    grep -q 'the window of the plan is' said
    [ "$(control state | jq .logins)" = 0 ]
    status_is 0 run_plan --any-time
    plan "window = \"$(date -d '-1 hours' +%H:%M)-$(date -d '3 hours' +%H:%M)\""
    status_is 0 run_plan
}

@test "shards: each machine is done by one of them; a plan and a machine are run once at a time" {
    machines 5
    plan
    run_plan --shard 0/2 --dry-run > part0
    run_plan --shard 1/2 --dry-run > part1
    [ "$(sort part0 part1 | tr '\n' ' ')" = 'web1 web2 web3 web4 web5 ' ]
    run_plan --shard 0/2
    [ "$(find images -name '*.qcow2' -printf '%h\n' | sed 's,.*/,,' | sort)" = "$(sort part0)" ]
    run_plan --shard 1/2
    [ "$(find images -name '*.qcow2' | wc -l)" = 5 ]

    # A run that is under way: a hook of it waits.
    mkfifo waits
    printf '[hooks]\nbefore = ["/bin/sh", "-c", "touch begun; read line < waits"]\ndeadline = "30m"\n' >> plan.toml
    run_plan web1 > first.log 2>&1 3>&- &
    local first=$!
    until_true 60 [ -e begun ]
    status_is 1 run_plan web2
    grep -q 'a run of this plan is under way' said
    # By another plan with the same machines.
    sed '/hooks/,$d' plan.toml > other.toml
    status_is 1 "$SOURCE/scripts/nbdkit-replicate" run other.toml web1 "${OPTIONS[@]}"
    grep -q 'another run of this machine is under way' said
    echo > waits
    wait $first
    [ "$(points web1)" = 2 ]
}

@test "a plan for any plugin, with a destination that is away and one that is too small" {
    truncate -s 3M disk.img
    random_file part 300K
    dd if=part of=disk.img bs=64K seek=3 conv=notrunc status=none
    truncate -s 1M small.raw
    start small file small.raw
    cat > plan.toml << END
images = "images/{vm}/{disk}-{time}.qcow2"
states = "states/{vm}"
target-parameters = ["compress=zstd"]
reconnect-for = "0s"
[[also]]
uri = "nbd+unix:///{vm}-{disk}?socket=$PWD/away.sock"
name = "dr"
parameters = ["fanout-retries=0"]
[[also]]
uri = "nbd+unix:///{vm}-{disk}?socket=$PWD/small.sock"
name = "small"
[[vm]]
name = "files"
source = ["file", "disk.img"]
END
    status_is 3 run_plan
    grep -q 'warning: dr cannot be reached: ' said
    qemu-img compare -f raw -F qcow2 disk.img "$(newest files)"
    # From now on the size of the disk is known before the run.
    status_is 0 run_plan --dry-run
    grep -q 'files: .*warning: dr cannot be reached: ' said
    grep -q 'files: .*warning: small is too small' said
    status_is 3 run_plan
    grep -q 'warning: small is too small for disk disk: it has 1048576 bytes, and needs 3145728; the copy goes on' said
    # Where it may not go on without one, nothing is begun.
    sed -i 's/"fanout-retries=0"/&, "fanout-on-error=fail"/' plan.toml
    local before
    before=$(points files)
    status_is 1 run_plan --dry-run
    grep -q 'dr cannot be reached: .*(fanout-on-error=fail)' said
    status_is 1 run_plan
    grep -q 'dr cannot be reached: .*(fanout-on-error=fail)' said
    [ "$(points files)" = "$before" ]
}

@test "errors in a plan: the file, the line and the key" {
    printf 'images = "i/{disk}-{time}"\n\n[vm.a]\nsuorce = ["file", "x"]\n' > plan.toml
    status_is 2 run_plan
    [ "$(cat said)" = 'nbdkit-replicate: plan.toml:3: vm.a: path is missing: the inventory path of the virtual machine, such as'\
' /DC0/vm/web1; or source, with another plugin and its parameters' ]
}

@test "a source that is away for a while: reconnect-for waits for it" {
    machines 1
    plan 'reconnect-for = "5m"'
    sed -i 's/"timeout=20"/&, "retry-delay=0.01"/' plan.toml
    # More failures in a row than the plugin takes by itself.
    control 'fault?where=folder&kind=503&count=8'
    status_is 0 run_plan
    [ "$(control state | jq .faults)" = 0 ]
    qemu-img compare -f raw -F qcow2 disk1.img "$(newest web1)"

    sed -i 's/"5m"/"0s"/' plan.toml
    control 'write?offset=0&length=65536&byte=7'
    control 'fault?where=folder&kind=503&count=8'
    status_is 1 run_plan
    control nofault
    # The same again goes on.
    status_is 0 run_plan
    qemu-img compare -f raw -F qcow2 disk1.img "$(newest web1)"
}

@test "estimate: what a run would copy; nothing is written" {
    machines 2
    plan
    "$SOURCE/scripts/nbdkit-replicate" estimate plan.toml "${OPTIONS[@]}" > said
    cat said
    grep -q 'web1 disk 2000: the whole disk, 2.0 MiB in 1 area, no earlier run to tell the time' said
    [ ! -e images ]
    run_plan
    find images states -type f -name '*[!k]' -exec md5sum {} + | sort > before
    control "write?vm=vm-42&offset=0&length=65536&byte=7"
    control "write?vm=vm-42&offset=1048576&length=65536&byte=7"
    "$SOURCE/scripts/nbdkit-replicate" estimate plan.toml web1 --json "${OPTIONS[@]}" > said
    cat said
    jq -e '.vm == "web1" and .result == "done" and (.disks | length == 1)' said
    jq -e '.disks[0] | .disk == "2000" and .size == 2097152 and .changed == 131072 and .areas == 2 and .seconds > 0 and
        (.full | not)' said
    find images states -type f -name '*[!k]' -exec md5sum {} + | sort > after
    diff before after
    [ "$(snapshots)" = 0 ]
}
