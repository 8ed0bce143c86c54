# SPDX-License-Identifier: BSD-3-Clause
#
# FANOUT_ROUNDS=100 for the long one, FANOUT_SEED to see one again.
load ../../lib

# counter NAME: of the async destination.
counter() {
    sed -n "s/^nbdkit_fanout_$1_total{destination=\"three\"} //p" stats
}

@test "destinations killed and back again under fio: after the drain all are the primary" {
    timeout 1500 "$SOURCE/tests/system/durability/fanout_kill.py" "${FANOUT_ROUNDS:-10}" "${FANOUT_SEED:-$RANDOM}" > out 2>&1 ||
        { cat out; grep -h 'error:\|warning:' fanout.log | tail -n 20; false; }
    cat out
    grep -q 'all equal at the end' out
    # It was not for nothing.
    grep -q 'has caught up' fanout.log
    # The async one, the third, was sent more than was read from the primary for it.
    cat stats
    [ "$(counter bytes)" -gt "$(counter copied_bytes)" ]
}
