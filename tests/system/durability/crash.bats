# SPDX-License-Identifier: BSD-3-Clause
load ../../lib

# CRASH_ROUNDS=200 for more of them.
@test "kill -9 at any instant: what was flushed is there, the image is repaired by QEMU and by us" {
    mkdir crash
    timeout 1500 "$SOURCE/tests/system/durability/crash.py" "$QCOW2" "$PWD/crash" "${CRASH_ROUNDS:-20}"
}

@test "the same with compressed clusters" {
    mkdir crash
    timeout 1500 "$SOURCE/tests/system/durability/crash.py" "$QCOW2" "$PWD/crash" "${CRASH_ROUNDS:-20}" compress
}
