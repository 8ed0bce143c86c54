# SPDX-License-Identifier: BSD-3-Clause
#
# Many destinations: fanout-active, and memory.
load ../../lib
load fanout

@test "fanout-active=2 of 3: the third gets the slot of the first that has finished" {
    random_file base.raw 8M
    for name in a b c; do
        truncate -s 8M $name.raw
        start $name file $name.raw
    done
    fanout f memory 8M fanout-active=2 fanout-mode=async fanout-timeout=600 fanout-dest="$(uri a)" fanout-name=a \
        fanout-dest="$(uri b)" fanout-name=b fanout-dest="$(uri c)" fanout-name=c
    said 'fanout: 2 of 3 destinations are served at once'
    python '
h = nbd.NBD(); h.connect_uri(sys.argv[1])
pause(int(open("b.pid").read()))
h.pwrite(open("base.raw", "rb").read(), 0)
h.shutdown()' "$(uri f)"
    said 'c: waits for its turn'
    kill -TERM "$(cat f.pid)"
    until_true 20 said 'debug: c: connected by'
    kill -CONT "$(cat b.pid)"
    stop f
    for name in a b c; do same base.raw $name.raw; done
    # c was connected after a had finished and before b had.
    awk '/debug: c: connected by/ { c = NR } /debug: a: 8388608 bytes/ { a = NR } / b: [0-9]+ bytes written/ { b = NR }
        END { exit !(c && b && c < b) }' f.log
    [ "$(grep -c 'debug: c: connected by' f.log)" -eq 1 ]
}

@test "fanout-active=serial, more than there are, and very many" {
    for i in 1 2 3 4 5 6 7 8 9; do
        start d$i memory 1M
        all+=(fanout-dest="$(uri d$i)" fanout-name=d$i)
    done
    fanout f memory 1M fanout-active=serial "${all[@]}"
    said 'fanout: 1 of 9 destinations are served at once (serial)'
    write_once "$(uri f)"
    stop f
    for i in 1 9; do
        timeout 60 nbdcopy "$(uri d$i)" out
        [ "$(head -c 65536 out | tr -d x | wc -c)" -eq 0 ]
    done
    fanout f memory 1M fanout-active=20 "${all[@]}"
    said 'fanout-active=20: there are 9 destinations, so all are served at once'
    said 'warning: fanout: 9 destinations are served at once: more than 8'
}

# gone_after_peak NAME: whether the server has ended; if not, memory= is the most that it has had.
gone_after_peak() {
    local now
    now=$(peak "$1" 2> /dev/null) || true
    memory=${now:-$memory}
    gone "$(cat "$1.pid")"
}

@test "five destinations, one slow, one dead, one full, one stopped: less than 96 MiB of memory" {
    random_file base.raw 256M
    truncate -s 256M primary.raw
    for name in good slow dead full hole; do truncate -s 256M $name.raw; done
    start good file good.raw
    start slow -t 2 --filter=delay file slow.raw delay-write=100ms
    restart dead dead.raw
    start full -t 1 --filter=error file full.raw error-pwrite=ENOSPC error-pwrite-rate=1%
    restart hole hole.raw
    fanout f file primary.raw fanout-on-error=detach fanout-state=. fanout-stats=stats.prom fanout-retry-delay=0.2 \
        fanout-retry-max=0.5 fanout-dest="$(uri good)" fanout-name=good \
        fanout-dest="$(uri slow)" fanout-name=slow fanout-mode=async \
        fanout-dest="$(uri dead)" fanout-name=dead fanout-dest="$(uri full)" fanout-name=full \
        fanout-dest="$(uri hole)" fanout-name=hole fanout-timeout=5 fanout-connect-timeout=5
    # One client stays until those that come back are there: when the last one has left, they are tried once more only.
    client_stays f
    stop dead KILL
    kill -STOP "$(cat hole.pid)"
    timeout 600 nbdcopy --flush -C 4 -T 4 base.raw "$(uri f)"
    same base.raw primary.raw
    kill -CONT "$(cat hole.pid)"
    restart dead dead.raw
    memory=$(peak f)
    for name in dead hole; do until_true 60 said "$name: has caught up"; done
    stop client-of-f
    kill -TERM "$(cat f.pid)"
    # The peak may come while it drains.
    until_true 60 gone_after_peak f
    echo "$memory KiB"
    [ "$memory" -lt $((96 * 1024)) ]
    for name in good slow dead hole; do same base.raw $name.raw; done
    grep 'error: full: detached, the other destinations continue; .* are owed' f.log
    grep 'full: .*No space left on device' f.log
}
