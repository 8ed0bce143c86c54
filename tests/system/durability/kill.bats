# SPDX-License-Identifier: BSD-3-Clause
#
# kill -9 at random instants. KILL_ROUNDS=300 for the long one, KILL_SEED to see one again.
load ../../lib

@test "clients and servers killed at any instant: the state is true, the next run finishes" {
    timeout 1500 "$SOURCE/tests/system/durability/kill.py" "${KILL_ROUNDS:-30}" "${KILL_SEED:-$RANDOM}" > out 2>&1 ||
        { cat out; tail -n 5 ./*.log; false; }
    grep -q 'equal at the end' out
}
