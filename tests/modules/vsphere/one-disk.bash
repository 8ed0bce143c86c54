# SPDX-License-Identifier: BSD-3-Clause
#
# Functions for the tests of the transports vddk and nbd: a machine with one disk. To be loaded after
# vsphere.

prepare() {
    made_once one.img random_file_with_holes 16M 1 4M 6M
    echo s3cret > pass
}

# vc ARGUMENTS...: starts the simulator with a machine that has one disk.
vc() {
    start_vcenter vc --vm /Europe/DC0/vm/web/web1=vm-42 --disk 2000=one.img --page 4M --task-ms 20 "$@"
    SERVER=(server="$(vcenter_fact vc host)" user=administrator@vsphere.local password=+"$PWD/pass"
            cafile="$(vcenter_fact vc cafile)" vm=moref=vm-42 disk=2000 retry-delay=0.1)
}

serve() { start src "$VSPHERE" "${SERVER[@]}" "$@"; }

# once ARGUMENTS... -- COMMAND: runs the plugin with --run COMMAND.
once() {
    local arguments=()
    while [ "$1" != -- ]; do arguments+=("$1"); shift; done
    timeout 600 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "${arguments[@]}" --run "$2"
}

# fails TEXT ARGUMENTS...: the plugin does not start, gives one line of error with TEXT in it, and leaves no
# snapshot and no session.
fails() {
    local text=$1
    shift
    refuses "$text" timeout 60 nbdkit -U - "$VSPHERE" "${SERVER[@]}" "$@" --run true
    [ "$(grep -c 'nbdkit: error: [^w]' <<< "$output")" = 1 ]
    clean
}

# early ARGUMENTS...: starts nbdkit in the background, and does not wait until it is ready. Its log is in
# early.log, its process id in early.pid.
early() {
    nbdkit -fv -U early.sock "$VSPHERE" "${SERVER[@]}" "$@" > early.log 2>&1 3>&- &
    echo $! > early.pid
}
