# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate: what people and programs are told of a run, while it goes on and afterwards.
load ../job
load replicate

# held_source: a source with the disks 2000 and 2001, whose data beyond the first MiB comes after release.
held_source() {
    mkdir disks
    random_file disks/2000 3M 1
    random_file disks/2001 2M 2
    cat > source.sh <<SH
case "\$1" in
    thread_model) echo parallel ;;
    list_exports) echo NAMES; echo 2000; echo 2001 ;;
    open) echo "\$3" ;;
    get_size) stat -c %s "$PWD/disks/\$2" ;;
    pread)
        $(held_from 1048576)
        dd if="$PWD/disks/\$2" iflag=skip_bytes,count_bytes skip="\$4" count="\$3" bs=256K status=none ;;
    *) exit 2 ;;
esac
SH
    chmod +x source.sh
    hold
    local disk
    for disk in 2000 2001; do
        truncate -s 3M dr$disk.raw
        start dr$disk file dr$disk.raw
    done
    RUN=(--state states/ --from sh "$PWD/source.sh" coalesce-chunk=64K coalesce-prefetch=off --to qcow2 '{disk}.qcow2'
        --also "nbd+unix:///?socket=$PWD/dr{disk}.sock" fanout-name=dr)
}

copied() {
    local disk
    for disk in 2000 2001; do
        qemu-img compare -f raw -F qcow2 "disks/$disk" "$disk.qcow2"
        cmp -n "$(stat -c %s "disks/$disk")" "disks/$disk" "dr$disk.raw"
    done
}

# status_of ARGUMENTS...
status_of() { timeout 60 "$SOURCE/scripts/nbdkit-replicate" status "$@"; }

@test "on a terminal of 80 columns: a line for each disk and destination, below the messages, and nothing twice" {
    /usr/bin/python3 -c 'import rich, pyte' 2> /dev/null || skip "python3-rich or python3-pyte is not installed"
    held_source
    local line=' +[0-9]+% +1\.[0-9] MiB'
    timeout 120 /usr/bin/python3 "$SOURCE/tests/system/replicate/terminal.py" 80 \
        "(?s)2000 [^\n]*$line.*  dr .*2001 [^\n]*$line.*  dr |2001 [^\n]*$line.*  dr .*2000 [^\n]*$line.*  dr " hold \
        "$SOURCE/scripts/nbdkit-replicate" "${OPTIONS[@]}" "${RUN[@]}" > shown
    cat shown
    copied
    must_fail grep -q 'cursor is hidden' shown
    sed -n '/^---- in the middle/,/^---- at the end/p' shown > middle
    sed -n '/^---- at the end/,$p' shown > end
    [ "$(grep -c '^200[01] .*%' middle)" = 2 ]
    [ "$(grep -c '^  dr ' middle)" = 2 ]
    must_fail grep -qE '^200[01]|^  dr ' end
    local text
    for text in 'disk 2000: the whole disk' 'disk 2001: the whole disk' 'disk 2000: 3.0 MiB disk' 'disk 2001: complete' \
        '2 disks: 5.0 MiB, 5.0 MiB to copy'; do
        [ "$(tr -d '\n' < end | grep -oF "$text" | wc -l)" = 1 ]
    done
}

@test "in a pipe: plain lines now and then, and never a character that a terminal obeys" {
    held_source
    TERM=xterm replicate_now --progress 0.05 "${RUN[@]}" 2> log 3>&- | cat > output 3>&- &
    run=$!
    until_true 60 grep -qE 'disk 2000: [0-9]+%, 1\.[0-9] MiB of 3\.0 MiB, .*; dr is owed' log
    until_true 60 grep -qE 'disk 2001: [0-9]+%, ' log
    release
    wait "$run"
    cat log
    copied
    [ ! -s output ]
    must_fail grep -qP '[^\n -~]' log
    must_fail grep -qv '^nbdkit-replicate: ' log
    grep -q 'disk 2000: 3.0 MiB disk, 3.0 MiB to copy, 3.0 MiB read, sent 3.0 MiB to 2000.qcow2, 3.0 MiB to dr; ' log
    [[ "$(tail -n 1 log)" == *"2 disks: 5.0 MiB, 5.0 MiB to copy, "*" read, 10.0 MiB sent; "* ]]
}

@test "--json: an object a line, and what is said stays on standard error; a reader that goes away does no harm" {
    held_source
    replicate_now --json "${RUN[@]}" > events 2> log 3>&- &
    run=$!
    until_true 60 grep -q '"event": "progress".*"stage": "copying".*"bytes": 1[0-9]\{6\},' events
    release
    wait "$run"
    copied
    [ "$(jq -s 'map(select(.event == "disk" and .status == "done")) | length' events)" = 2 ]
    [ "$(jq -rs '.[0].event + " " + .[-1].event + " " + .[-1].status' events)" = "begin end done" ]
    # jq 1.7 prints a number as it was written: 100.0.
    jq -es '[.[] | select(.event == "progress" and .disk == "2000")] | last |
        .total == 3145728 and .percent == 100 and .destinations[0].name == "dr"' events
    jq -es 'all(.[]; has("event") and has("vm") and has("time"))' events
    jq -es 'all(.[] | select(.event != "message"); has("stage") and has("status"))' events
    grep -q 'disk 2000: complete' log
    replicate_now --json "${RUN[@]}" 2> log | head -n 1 > first
    cat log
    must_fail grep -qE 'Traceback|BrokenPipe' log
    grep -q 'disk 2000: complete' log
}

@test "output that has no room: the copy is complete all the same" {
    held_source
    release
    replicate_now "${RUN[@]}" 2> /dev/full
    copied
    replicate_now --json "${RUN[@]}" > /dev/full 2> log
    cat log
    [ "$(grep -c 'standard output cannot be written, and gets no more objects of --json: No space left on device' log)" = 1 ]
    [ "$(jq -r .result states/runs/*.json | sort | uniq -c | tr -s ' ')" = ' 2 done' ]
}

@test "--quiet: nothing at all if all is well, and what is wrong if something is" {
    held_source
    release
    run replicate_now --quiet "${RUN[@]}"
    [ "$status" = 0 ]
    [ -z "$output" ]
    stop dr2001
    run replicate_now -q "${RUN[@]}" fanout-retries=0
    echo "$output"
    [ "$status" = 3 ]
    [ "$(grep -c 'disk 2001: dr is owed .*: cannot connect: ' <<< "$output")" = 1 ]
    must_fail grep -q 'disk 2000' <<< "$output"
}

@test "status: what is owed, and what is complete" {
    held_source
    release
    run status_of --state states/ --monitor
    [ "$status" = 3 ]
    stop dr2001
    run replicate_now "${RUN[@]}" fanout-retries=0
    [ "$status" = 3 ]
    run status_of --state states/ --json
    echo "$output"
    [ "$status" = 1 ]
    [[ "$(jq -r '.machines[0].last_run | .result + " " + .cause' <<< "$output")" == "behind disk 2001: dr is owed 2.0 MiB: "* ]]
    [ "$(jq -c '[.machines[0].disks[] | [.disk, .status, .destinations[0].owed]]' <<< "$output")" = \
        '[["2000","OK",0],["2001","WARNING",2097152]]' ]

    start dr2001 file dr2001.raw
    replicate_now "${RUN[@]}"
    copied
    run status_of --state states/ --monitor
    echo "$output"
    [ "$status" = 0 ]
    [[ "$output" == "OK: "*" | 'states disk 2000 age'="* ]]
    run status_of --state states/ --monitor --stale-after 0s
    [ "$status" = 1 ]
    run status_of --state states/ --monitor --critical-after 0s
    [ "$status" = 2 ]
    status_of --state states/ --html page.html
    grep -q '<svg' page.html
}

@test "metrics of two machines in one directory: promtool and node_exporter accept them" {
    command -v promtool > /dev/null || command -v prometheus-node-exporter > /dev/null ||
        skip "neither promtool (package prometheus) nor prometheus-node-exporter is installed"
    mkdir one collected
    random_file one/2000 1M
    local vm
    for vm in web1 'db "2"\'; do
        replicate_now --state "$vm/" --from file dir=one --to qcow2 "$vm-{disk}.qcow2"
        status_of --state "$vm/" --metrics "collected/$(tr -dc a-z0-9 <<< "$vm").prom"
    done
    ls collected
    if command -v promtool > /dev/null; then
        local file
        for file in collected/*.prom; do promtool check metrics < "$file"; done
    fi
    if command -v prometheus-node-exporter > /dev/null; then
        prometheus-node-exporter --collector.disable-defaults --collector.textfile --web.listen-address=127.0.0.1:0 \
            --collector.textfile.directory="$PWD/collected" > exporter.log 2>&1 3>&- &
        echo $! > exporter.pid
        until_true 60 grep -q 'msg="Listening on"' exporter.log
        local address
        address=$(sed -n 's/.*msg="Listening on" address=\([0-9.:]*\).*/\1/p' exporter.log)
        curl -sS --max-time 60 "http://$address/metrics" > scraped
        grep -qx 'node_textfile_scrape_error 0' scraped
        [ "$(grep -c '^nbdkit_replicate_last_complete_timestamp_seconds{disk="2000",plan="",vm="' scraped)" = 2 ]
        [ "$(grep -c '^nbdkit_replicate_run_sent_bytes{.*} 1.048576e+06$' scraped)" = 2 ]
    fi
}
