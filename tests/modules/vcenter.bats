#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
#
# The simulated vCenter that other tests rely on: its model, and what it answers.
load ../lib

suite() { # the unit tests of one file
    timeout 300 /usr/bin/python3 -B -m unittest discover --start-directory "$SOURCE/tests/vcenter" \
        --pattern "$1" > unittest.log 2>&1 || { cat unittest.log; return 1; }
    grep -q '^OK' unittest.log
}

@test "the service over HTTPS: sessions, inventory, snapshots, change tracking, files" {
    suite test_vcenter.py
}
