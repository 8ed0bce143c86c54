# SPDX-License-Identifier: BSD-3-Clause
#
# Destinations of fanout are killed at random instants. FANOUT_ROUNDS=100 runs the long test; FANOUT_SEED=N repeats a
# run.
load ../../lib

@test "destinations are killed and restarted while fio writes: after the drain all equal the primary" {
    timeout 1500 "$SOURCE/tests/system/durability/fanout_kill.py" "${FANOUT_ROUNDS:-10}" "${FANOUT_SEED:-$RANDOM}" > out 2>&1 ||
        { cat out; grep -h 'error:\|warning:' fanout.log | tail -n 20; false; }
    cat out
    grep -q 'all equal at the end' out
    # Destinations have been out of sync.
    grep -q 'has caught up' fanout.log
}
