# SPDX-License-Identifier: BSD-3-Clause
#
# Functions for the tests of nbdkit-replicate: load ../job, then load replicate.

# Temporary files of a run are in ./tmp, so that a test sees whether any are left.
prepare() {
    export TMPDIR=$PWD/tmp
    mkdir tmp
}

# Options of every run.
OPTIONS=(--build "$BUILD")

# replicate_now OPTIONS...: one run, in the foreground.
replicate_now() { timeout 120 "$SOURCE/scripts/nbdkit-replicate" "${OPTIONS[@]}" "$@"; }

# begin OPTIONS...: one run, in the background, as process $run. Its messages are in run.log.
begin() {
    "$SOURCE/scripts/nbdkit-replicate" "${OPTIONS[@]}" "$@" <&0 > run.log 2>&1 3>&- &
    run=$!
    echo $run > run.pid
}

# midway IMAGE: returns when the run, whose source is held, has written something to the image. Fails if the run has
# ended. Sets $servers to the processes that the run has started.
midway() {
    until_true 60 holds_data "$1"
    must_fail gone "$run"
    mapfile -t servers < <(children_of "$run")
}
holds_data() { [ "$(stat -c %b "$1" 2> /dev/null || echo 0)" -gt 4000 ]; }

# children_of PID: the processes that it has started, one ID a line.
children_of() { ps -o pid= --ppid "$1" | tr -d ' '; }

all_gone() {
    local pid
    for pid in "$@"; do gone "$pid" || return 1; done
}

# nbdcopy_of RUN: the process IDs of its nbdcopy.
nbdcopy_of() {
    local pid
    for pid in $(children_of "$1"); do
        if [ "$(cat "/proc/$pid/comm")" = nbdcopy ]; then echo "$pid"; fi
    done
}

# interrupt SIGNAL...: sends these to the run, whose source is held. The source is released when nobody copies any more.
interrupt() {
    local signal copying
    mapfile -t copying < <(nbdcopy_of "$run")
    for signal in "$@"; do kill "-$signal" "$run"; done
    until_true 60 all_gone "${copying[@]}"
    release_source
}

# ended_in_order SIGNAL: sends it to the run, whose source is held. The run ends, reports that, and leaves nothing but
# what it has copied.
ended_in_order() {
    interrupt "$1"
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 1 ]
    grep -q 'interrupted' run.log
    all_gone "${servers[@]}"
    [ "$(snapshots)" = 0 ]
    [ -z "$(ls tmp)" ]
}
