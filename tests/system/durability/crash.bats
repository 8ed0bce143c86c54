# SPDX-License-Identifier: BSD-3-Clause
#
# The qcow2 server is killed at random instants. CRASH_ROUNDS=200 runs the long test.
load ../../lib

@test "kill -9: data that was flushed survives, and QEMU and the plugin repair the image" {
    mkdir crash
    timeout 1500 "$SOURCE/tests/system/durability/crash.py" "$QCOW2" "$PWD/crash" "${CRASH_ROUNDS:-10}"
}

@test "kill -9 with compressed clusters: data that was flushed survives, and the image is repaired" {
    mkdir crash
    timeout 1500 "$SOURCE/tests/system/durability/crash.py" "$QCOW2" "$PWD/crash" "${CRASH_ROUNDS:-10}" compress
}
