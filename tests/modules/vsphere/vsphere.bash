# SPDX-License-Identifier: BSD-3-Clause
#
# Functions for the tests of the vsphere plugin with the simulated vCenter. To be loaded after ../../lib
# and ../../vcenter/vcenter.

# The files of two disks: one.img has data, holes and data again; two.img is small.
prepare() {
    made_once one.img random_file_with_holes 32M 1 4M 12M 20M 8M
    made_once two.img random_file_with_holes 1M 2
    echo s3cret > pass
}

# made_once FILE COMMAND...: FILE is a copy of what the command FILE ARGUMENTS made for the first test of the
# file.
made_once() {
    local all=$BATS_FILE_TMPDIR/$1
    [ -e "$all" ] || "$2" "$all" "${@:3}"
    cp --reflink=auto --sparse=always "$all" "$1"
}

# random_file_with_holes FILE SIZE SEED [OFFSET LENGTH]...
random_file_with_holes() {
    local file=$1
    random_file "$file" "$2" "$3"
    shift 3
    while [ $# -gt 0 ]; do
        fallocate -p -o "$1" -l "$2" "$file"
        shift 2
    done
}

# vc ARGUMENTS...: starts the simulator with a machine that has the disks of prepare.
vc() {
    vc_with --vm /Europe/DC0/vm/web/web1=vm-42 --disk 2000=one.img --disk 2001=two.img "$@"
    VM=vm=/Europe/DC0/vm/web/web1
}

# vc_with ARGUMENTS...: starts the simulator with the machines in the arguments.
vc_with() {
    start_vcenter vc --page 4M --task-ms 20 "$@"
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass"
            retry-delay=0.05)
    TRUST=cafile=$(vcenter_fact vc cafile)
}

# serve ARGUMENTS...: starts the plugin in the background, on src.sock.
serve() { start src "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" "$@"; }

# once ARGUMENTS... -- COMMAND: runs the plugin with --run COMMAND.
once() {
    local arguments=()
    while [ "$1" != -- ]; do arguments+=("$1"); shift; done
    timeout 600 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" "${arguments[@]}" --run "$2"
}

state() { control vc state; }
# of EXPRESSION: prints a Python expression of the simulator's state s and the machine v.
of() { control vc evaluate --get --data-urlencode "of=$1"; }
SNAPSHOTS="sum(len(vm['snapshots']) for vm in s['vms'].values())"
no_snapshot() { [ "$(of "$SNAPSHOTS")" = 0 ]; }
# clean: there is no snapshot, and no session.
clean() {
    local left
    left=$(of "($SNAPSHOTS, s['sessions'])")
    echo "snapshots and sessions: $left"
    [ "$left" = "(0, 0)" ]
}

# a_read_ends_with_the_server [CONDITION...]: a read waits for a server that hangs, which CONDITION tells. SIGTERM ends it at
# once, and nbdkit.
a_read_ends_with_the_server() {
    timeout 300 qemu-io -r -f raw -c 'read 1M 64k' "$(uri src)" > client.log 2>&1 3>&- &
    until_true 20 grep -q 'pread count=65536' src.log
    [ $# = 0 ] || until_true 20 "$@"
    local pid
    pid=$(cat src.pid)
    kill -TERM "$pid"
    until_true 10 gone "$pid" || { kill -KILL "$pid"; return 1; }
    rm src.pid src.ready
    wait $! || true
    grep -q 'error: .*nbdkit is ending' src.log
    grep -q 'read failed: Cannot send after transport endpoint shutdown' client.log
    clean
}

map() { nbdinfo --map "$1" | awk '{print $1, $2, $3}'; }

# checkpoint URI: of the export's description.
checkpoint() {
    nbdinfo --json "$1" | /usr/bin/python3 -c '
import json, sys
print(json.loads(json.load(sys.stdin)["exports"][0]["description"])["checkpoint"])'
}

# state_file FILE CHECKPOINT [VM [DISK [SIZE]]]
state_file() {
    echo "{\"nbdkit-replicate\":1,\"checkpoint\":\"$2\",\"source\":\"vsphere\",\"vm\":\"${3:-vm-42}\",\"disk\":${4:-2000},\"size\":${5:-33554432},\"owed\":[]}" > "$1"
}

# fails TEXT ARGUMENTS...: the plugin does not start, gives one line of error with TEXT in it, and leaves no
# snapshot and no session.
fails() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -U - "$VSPHERE" "$@" --run true
    [ "$(grep -c 'nbdkit: error: [^w]' <<< "$output")" = 1 ]
    clean
}

# nothing_left [NAME]: no machine of the simulator has a snapshot of this plugin.
nothing_left() {
    local left
    left=$(control "${1:-vc}" evaluate --get --data-urlencode "of=[(moref, one['name'])
        for moref, vm in s['vms'].items() for one in vm['snapshots'] if one['name'].startswith('nbdkit-replicate')]")
    [ "$left" = "[]" ] || { echo "left behind: $left" >&2; return 1; }
}

# After each test no snapshot of this plugin may be left.
teardown() {
    local pid_file status=0
    stop src # first: the servers that it reads from wait for their clients
    for pid_file in "$BATS_TEST_TMPDIR"/*.pid; do
        if [ -e "$pid_file" ] && [ "$pid_file" != "$BATS_TEST_TMPDIR/vc.pid" ]; then
            stop "$(basename "$pid_file" .pid)"
        fi
    done
    if [ -e vc.pid ]; then
        nothing_left || status=1
        stop vc
    fi
    return $status
}
