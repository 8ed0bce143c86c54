# SPDX-License-Identifier: BSD-3-Clause
#
# Functions for the tests of transport=vddk, with the stand-in for VMware's library. To be loaded after
# one-disk.

# standin: installs the stand-in for VMware's library in sdk/. Its own files are in standin/ (see
# tests/vddk/standin.cpp).
standin() {
    mkdir -p standin/access standin/faults sdk/lib64
    cp --sparse=always one.img standin/disk
    ln -sf "$BUILD/tests/vddk/libvixDiskLib.so.8.0.9" sdk/lib64/libvixDiskLib.so.8
    expect thumbprint "$(vcenter_fact vc thumbprint)"
    export VDDK_STANDIN=$PWD/standin
    VDDK=(transport=vddk libdir="$PWD/sdk")
}
# expect KEY VALUE: sets what the stand-in accepts.
expect() {
    local -A right=([user]=administrator@vsphere.local [password]=s3cret [vm]=moref=vm-42
                    [thumbprint]=$(vcenter_fact vc thumbprint) [path]='[datastore1] web1/web1.vmdk')
    right[$1]=$2
    local key
    for key in "${!right[@]}"; do echo "$key=${right[$key]}"; done > standin/expect
}
# wrong CALL AFTER COUNT KIND...: makes calls of the stand-in fail.
wrong() { echo "${*:2}" > "standin/faults/$1"; }

# helper: the process id of the helper that was started last.
helper() { grep ' InitEx ' standin/log | tail -1 | cut -d' ' -f1; }
calls() { grep -c " $1" standin/log || true; }

# orderly: the helpers used the library correctly, ended their access and have exited. No log has the
# password.
orderly() {
    must_fail grep VIOLATION standin/log
    [ -z "$(ls standin/access)" ]
    until_true 20 gone "$(helper)"
    must_fail grep -r s3cret --include='*.log' .
    must_fail grep s3cret standin/log
}

# read_in_background: starts a copy that takes a while. When it returns the helper of the start has ended, and
# the one that reads has opened the disk.
read_in_background() {
    timeout 600 nbdcopy --request-size=262144 "$(uri src)" out.img > copy.log 2>&1 3>&- &
    COPY=$!
    until_true 30 grep -q 'vsphere: pread count=262144 offset=[1-9]' src.log
    until_true 30 eval '[ "$(calls "Open ")" = 2 ]'
}
