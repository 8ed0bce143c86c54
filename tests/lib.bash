# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests with real servers share; each .bats file begins with: load ../lib
#
# Every test has a directory of its own, $BATS_TEST_TMPDIR, and is in it. A server that a test starts
# is stopped when the test ends. No fixed ports, no sleeping where something can be waited for.

: "${BUILD:?is set by meson test: the build directory}"
: "${SOURCE:?is set by meson test: the source directory}"

# The modules by path, so that what was built is tested and not what is installed.
QCOW2=$BUILD/plugins/qcow2/nbdkit-qcow2-plugin.so
VSPHERE=$BUILD/plugins/vsphere/nbdkit-vsphere-plugin.so
COALESCE=$BUILD/filters/coalesce/nbdkit-coalesce-filter.so
DELTA=$BUILD/filters/delta/nbdkit-delta-filter.so
APPLY=$BUILD/filters/apply/nbdkit-apply-filter.so
FANOUT=$BUILD/filters/fanout/nbdkit-fanout-filter.so
PULL=$BUILD/filters/pull/nbdkit-pull-filter.so

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    if declare -F prepare > /dev/null; then prepare; fi
}

teardown() {
    local pid_file
    cd "$BATS_TEST_TMPDIR"
    release
    for pid_file in "$BATS_TEST_TMPDIR"/*.pid; do
        pid_file=${pid_file##*/}
        if [ -e "$pid_file" ]; then stop "${pid_file%.pid}"; fi
    done
}

# For Python: pause(PID) stops a process, and returns when none of its threads runs any more.
# shellcheck disable=SC2034 # for those who load this
PAUSE='
import glob, os, signal, time
def states(pid):
    for stat in glob.glob(f"/proc/{pid}/task/*/stat"):
        try:
            yield open(stat).read().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pass
def pause(pid):
    os.kill(pid, signal.SIGSTOP)
    while (found := set(states(pid))) != {"T"}:
        assert found - {"Z", "X"}, f"process {pid} has ended"
        time.sleep(0.001)
'

# leaves_in_handshake NAME: a client of the server NAME that reads the greeting, and would not read the answer to NBD_OPT_GO.
leaves_in_handshake() {
    /usr/bin/python3 -c '
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
assert len(s.recv(18, socket.MSG_WAITALL)) == 18
s.shutdown(socket.SHUT_RD)
s.sendall(struct.pack(">I8sIIIH", 3, b"IHAVEOPT", 7, 6, 0, 0))' "$1.sock"
}

# until_true SECONDS COMMAND...: runs it again and again until it succeeds; the longer that takes, the less often. On a
# machine that has much else to do it may take six times as long.
until_true() {
    local - begun=${EPOCHREALTIME/[.,]/} limit=$(($1 * 6000000)) waited pause
    set +T  # Bats' trap costs more than what COMMAND does
    shift
    until "$@"; do
        waited=$((${EPOCHREALTIME/[.,]/} - begun))
        if [ "$waited" -gt "$limit" ]; then
            echo "waited in vain for: $*" >&2
            return 1
        fi
        pause=$((waited / 10))
        pause_for $((pause < 20000 ? 20000 : pause > 100000 ? 100000 : pause))
    done
}
# pause_for MICROSECONDS: less than a second. A process `sleep` would cost a tenth of a processor where tests poll; this
# waits for data in a pipe that never has any.
pause_for() {
    local silent=$BATS_RUN_TMPDIR/silent seconds nothing
    [ -p "$silent" ] || mkfifo "$silent" 2> /dev/null || [ -p "$silent" ] # made by another process meanwhile
    printf -v seconds 0.%06d "$1"
    read -rt "$seconds" nothing <> "$silent" || true
}

# start NAME ARGUMENTS...: nbdkit on NAME.sock in the background, its log in NAME.log. Returns when it
# accepts connections; fails, with the log, if it does not start.
start() {
    local name=$1
    shift
    rm -f "$name.sock"
    nbdkit -fv -U "$name.sock" -P "$name.ready" "$@" > "$name.log" 2>&1 3>&- &
    echo $! > "$name.pid"
    until_true 60 started_or_gone "$name" && [ -s "$name.ready" ] || { tail -20 "$name.log" >&2; return 1; }
}
started_or_gone() { [ -s "$1.ready" ] || gone_by_file "$1.pid"; }

# stop NAME [SIGNAL]: ends what start (or a test, with NAME.pid) began, and waits for its end.
stop() {
    local pid=
    if [ -e "$1.pid" ]; then pid=$(< "$1.pid"); fi
    if [ -z "$pid" ]; then return 0; fi
    kill "-${2:-TERM}" "$pid" 2> /dev/null || true
    until_true 60 gone "$pid" || kill -KILL "$pid"
    rm -f "$1.pid" "$1.ready"
}
# gone PID: the process has ended, with all of its threads, whether or not somebody has waited for it. (A
# zombie that still has threads has its files open: proc(5), stat, num_threads.)
gone() {
    local stat fields
    { read -r stat < "/proc/$1/stat"; } 2> /dev/null || return 0
    read -ra fields <<< "${stat##*)}"
    [[ ${fields[0]} == [ZX] && ${fields[17]} -le 1 ]]
}

# held_from OFFSET: code for a script of nbdkit's plugins eval and sh: between hold and release a read or write at that
# offset (bytes) or behind it waits. It waits for somebody to open the pipe, and costs nothing meanwhile.
held_from() { echo "[ \$4 -lt $1 ] || ! [ -p $PWD/hold ] || read -r line 2> /dev/null < $PWD/hold"; }
hold() { [ -p hold ] || mkfifo hold; }
release() {
    local pipe
    if [ -p hold ]; then
        exec {pipe}<> hold
        rm hold
        exec {pipe}>&-
    fi
}

# gone_by_file FILE: the same of the process whose ID is in the file.
gone_by_file() {
    local pid
    read -r pid < "$1" || [ -n "$pid" ] || return 1
    gone "$pid"
}

# needs_libnbd MAJOR.MINOR: libnbd is at least that, or the test is skipped.
needs_libnbd() {
    local version
    version=$(pkg-config --modversion libnbd)
    [ "$(printf '%s\n' "$1" "$version" | sort -V | head -n 1)" = "$1" ] || skip "libnbd $version is older than $1"
}

# uri NAME [EXPORT]: of a server started with start.
uri() { echo "nbd+unix:///${2:-}?socket=$PWD/$1.sock"; }

# free_port: prints a TCP port that nobody uses. It is none of those that connections have (ip_local_port_range).
free_port() {
    /usr/bin/python3 -c '
import random, socket
while True:
    port = random.randrange(20000, 32768)
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break'
}

# start_qemu NAME ARGUMENTS...: qemu-nbd on NAME.sock, ready when it returns.
start_qemu() {
    local name=$1
    shift
    rm -f "$name.sock" "$name.ready"
    # It listens before it has opened the image, and writes that file afterwards.
    qemu-nbd --persistent --socket="$PWD/$name.sock" --pid-file="$PWD/$name.ready" "$@" > "$name.log" 2>&1 3>&- &
    echo $! > "$name.pid"
    until_true 60 started_or_gone "$name" && [ -s "$name.ready" ] || { cat "$name.log" >&2; return 1; }
}

# listens NAME: somebody accepts connections on NAME.sock, which exists a moment before that (proc(5),
# "unix": __SO_ACCEPTCON).
listens() {
    awk -v path="$PWD/$1.sock" '$4 == "00010000" && $8 == path { found = 1 } END { exit !found }' \
        /proc/net/unix
}

# random_file FILE SIZE [SEED]: SIZE bytes (as truncate takes it) that do not compress, the same for
# the same seed.
random_file() {
    /usr/bin/python3 - "$1" "$(numfmt --from=iec "$2")" "${3:-1}" <<'PY'
import random, sys
name, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
generator = random.Random(seed)
with open(name, "wb") as f:
    while size > 0:
        n = min(size, 1 << 20)
        f.write(generator.randbytes(n))
        size -= n
PY
}

# refuses TEXT COMMAND...: the command fails (not by a signal), and says TEXT.
refuses() {
    local text=$1
    shift
    run "$@"
    echo "$output"
    [ "$status" -ne 0 ] && [ "$status" -lt 124 ] && [[ "$output" == *"$text"* ]]
}

# must_fail COMMAND...: for what must fail (not by a signal, nor at the limit of timeout) and says nothing.
# ("! COMMAND" does not fail a test.)
must_fail() {
    local status=0
    "$@" || status=$?
    [ "$status" -ne 0 ] && [ "$status" -lt 124 ]
}

# same A B: the two raw files are equal, byte by byte.
same() { cmp "$1" "$2"; }

# sound IMAGE: qemu-img check finds nothing to complain of.
sound() { qemu-img check -q "$1"; }
