# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests of nbdkit-replicate share: load job, then load replicate.

# Where all that is temporary is found by the test.
prepare() {
    export TMPDIR=$PWD/tmp
    mkdir tmp
}

# The first options of each run.
OPTIONS=(--build "$BUILD")

# replicate_now OPTIONS...: one run, in the foreground.
replicate_now() { timeout 120 "$SOURCE/scripts/nbdkit-replicate" "${OPTIONS[@]}" "$@"; }

# begin OPTIONS...: the same in the background, as $run.
begin() {
    "$SOURCE/scripts/nbdkit-replicate" "${OPTIONS[@]}" "$@" <&0 > run.log 2>&1 3>&- &
    run=$!
    echo $run > run.pid
}

# midway IMAGE: the run has written something to that one, and is still at it; $servers are the processes that
# it has started.
midway() {
    until_true 60 holds_data "$1"
    gone "$run" && return 1
    mapfile -t servers < <(children_of "$run")
}
holds_data() { [ "$(stat -c %b "$1" 2> /dev/null || echo 0)" -gt 4000 ]; }

# children_of PID: what it has started, a process id a line.
children_of() { ps -o pid= --ppid "$1" | tr -d ' '; }
all_gone() {
    local pid
    for pid in "$@"; do gone "$pid" || return 1; done
}

# ended_in_order SIGNAL: the run is, by that signal, and says so; nothing it has made is left but what it has
# copied.
ended_in_order() {
    kill "-$1" "$run"
    local status=0
    wait "$run" || status=$?
    cat run.log
    [ "$status" = 1 ]
    grep -q 'interrupted' run.log
    all_gone "${servers[@]}"
    [ "$(snapshots)" = 0 ]
    [ -z "$(ls tmp)" ]
}
