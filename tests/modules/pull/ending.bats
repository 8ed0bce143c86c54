# SPDX-License-Identifier: BSD-3-Clause
#
# The server is told to end while it waits for the source. All limits are so long that who waits for one fails.
load ../../lib
load pull

PATIENT=(pull-retries=100 pull-retry-delay=600 pull-retry-max=600 pull-connect-timeout=600 pull-timeout=600)

# ends: the server does, after SIGTERM.
ends() {
    local pid
    pid=$(cat p.pid)
    kill -TERM "$pid"
    until_true 20 gone "$pid"
    rm -f p.pid p.ready
    release
}
# read_fails: a client that reads at 7M is told, when the server is, that it ends; WHEN, a condition of Python, says when
# the client waits.
read_fails() {
    python '
b = nbd.Buffer(1)
cookie = h.aio_pread(b, 7 * M)
while not ('"$1"'):
    assert h.poll(10) >= 0
    assert not h.aio_command_completed(cookie)
os.kill(int(open("p.pid").read()), signal.SIGTERM)
try:
    while not h.aio_command_completed(cookie):
        h.poll(-1)
    raise SystemExit("no error")
except nbd.Error as e:
    assert e.errno in ("ESHUTDOWN", "ENOTCONN", "ECONNRESET"), e
os._exit(0)'
    until_true 20 gone "$(cat p.pid)"
    rm -f p.pid p.ready
    release
}
# silent_source: takes connections and says nothing; at the address of src, which may still run.
silent_source() {
    rm -f src.sock
    /usr/bin/python3 -c '
import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("src.sock"); s.listen(50)
open("silent", "w").close()
kept = []
while True:
    kept.append(s.accept()); open("taken", "a").write("x")' 3>&- &
    echo $! > silent.pid
    until_true 60 test -e silent
}
# begun ARGUMENTS...: the first byte was written by a client, and the state says so.
begun() {
    over_file pull-chunk=64K "${PATIENT[@]}" "$@"
    python 'h.pwrite(b"w", 0); h.flush()'
}
asked='os.path.exists("reads") and "%d" % (7 * M) in open("reads").read().split()'

@test "a read of a source that hangs" {
    held_source
    begun pull-rate=4K
    read_fails "$asked"
    said 'the server is ending'
}

@test "a read of what the background is fetching from a source that hangs" {
    held_source
    begun pull-priority=7M-8M
    until_true 60 grep -qx $((7 << 20)) reads
    read_fails 'True'
}

@test "a read while the source is away, and while it is being connected to" {
    held_source
    begun pull-rate=4K
    stop src KILL
    read_fails 'b"cannot connect" in open("p.log", "rb").read()'
    rm -f reads
    held_source
    begun pull-rate=4K
    silent_source
    stop src KILL
    read_fails 'os.path.exists("taken")'
}

@test "no client: the background reads, the source is confirmed, the map is read" {
    held_source
    begun
    until_true 60 grep -qx $((1 << 20)) reads
    ends
    # The connection that confirms gets no answer.
    stop src KILL
    rm -f reads
    start src --filter=exportname file src.raw exportname-list=keep exportdesc=fixed:'{"nbdkit-replicate":1,"source":"test",
"vm":"vm-1","disk":1,"size":8388608,"mode":"full","checkpoint":"c1","confirm":"connection"}'
    rm state
    export REPLICATE_SYNC_DIR=$PWD
    touch pull.before_confirm.hold
    over_file pull-rate=1M "${PATIENT[@]}"
    until_true 60 test -e pull.before_confirm.held
    silent_source
    stop src KILL
    rm pull.before_confirm.hold
    until_true 60 test -e taken
    ends
}

@test "the start waits for a source that says nothing" {
    silent_source
    truncate -s 8M dst.raw
    nbdkit -fv -U p.sock --filter="$PULL" file dst.raw pull-from="$(uri src)" pull-state="$PWD/state" "${PATIENT[@]}" \
        > p.log 2>&1 3>&- &
    echo $! > p.pid
    touch p.ready
    until_true 60 test -e taken
    ends
    [ ! -e state ]
}

@test "the source ends as well: it is not kept waiting while the layer below is closed, which may ask it" {
    source_server
    truncate -s 8M dst.raw
    local source
    source=$(cat src.pid)
    pull eval get_size="echo 8M" thread_model="echo parallel" can_flush="exit 0" flush="exit 0" \
        pread="dd if=$PWD/dst.raw skip=\$4 count=\$3 iflag=skip_bytes,count_bytes bs=64K status=none" \
        pwrite="dd of=$PWD/dst.raw seek=\$4 oflag=seek_bytes conv=notrunc bs=64K status=none" \
        close="for i in \$(seq 1500); do
            [ -e /proc/$source ] && ! grep -q '^State:.Z' /proc/$source/status || { touch $PWD/closed; exit; }
            sleep 0.02
        done" pull-chunk=64K pull-rate=64K
    until_true 60 eval '[ "$(stat -c %b dst.raw)" -gt 0 ]'
    kill -TERM "$source"
    ends
    [ -e closed ]
}
