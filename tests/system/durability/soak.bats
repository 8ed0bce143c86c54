# SPDX-License-Identifier: BSD-3-Clause
#
# Whole runs, with everything that may happen to them. SOAK_ROUNDS=1000 runs the long test; SOAK_SEED=N repeats a run.
load ../../lib

@test "whatever happens to a run: complete is complete, the same command again completes it, nothing is left" {
    local rounds=${SOAK_ROUNDS:-20}
    mkdir soak
    cd soak
    timeout -k 60 $((300 + rounds * 200)) "$SOURCE/tests/system/durability/soak.py" "$rounds" "${SOAK_SEED:-2026}" \
        > ../out 2>&1 || { tail -n 30 ../out; tail -n 30 run.log; false; }
    tail -n 25 ../out
    grep -q 'what was called complete was complete' ../out
}
