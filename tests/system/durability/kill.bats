# SPDX-License-Identifier: BSD-3-Clause
#
# A client, a source server or a target server with apply is killed at random instants. KILL_ROUNDS=300 runs the
# long test; KILL_SEED=N repeats a run.
load ../../lib

@test "clients and servers are killed: the state file is right, and the next run completes the copy" {
    timeout 1500 "$SOURCE/tests/system/durability/kill.py" "${KILL_ROUNDS:-30}" "${KILL_SEED:-$RANDOM}" > out 2>&1 ||
        { cat out; tail -n 5 ./*.log; false; }
    grep -q 'equal at the end' out
}
