#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
#
# What the command does with one virtual machine besides copying its disks (scripts/nbdkit_replicate/vcenter), with the
# simulated vCenter: its power, its definition, its small files.
load ../../lib
load ../../vcenter/vcenter

# cases CLASS: runs the tests of a class.
cases() {
    /usr/bin/python3 -c 'import pyVmomi' || skip "python3-pyvmomi is not installed"
    timeout 1500 /usr/bin/python3 -B "$SOURCE/tests/vcenter/clients/test_machine.py" "$1" > unittest.log 2>&1 ||
        { cat unittest.log; return 1; }
    grep -q '^Ran [1-9]' unittest.log
    grep -q '^OK' unittest.log
}

@test "a machine is found by its path, name, UUID or reference" {
    cases Finding
}

@test "a machine is shut down, switched off and on" {
    cases PowerOfOne
}

@test "sessions: expired, refused, killed, without an answer" {
    cases Sessions
}

@test "the definition of a machine, and its small files" {
    cases Describing
}
