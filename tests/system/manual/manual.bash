# SPDX-License-Identifier: BSD-3-Clause
#
# The examples of the manual pages, as they stand there but for the names of hosts, ports and directories. Load ../job first.

PAGE=nbdkit-replicate-recipes

# Programs of the examples: nbdkit and nbdkit-replicate with what was built.
prepare() {
    export TMPDIR=$PWD/tmp
    mkdir tmp bin
    PLACES=(-e "s,/dev/backup/,$PWD/dev/,g" -e "s,/backup ,$PWD/backup ,g" -e "s,/etc/,$PWD/etc/,g" -e "s,/srv/,$PWD/srv/,g" -e "s,/backup/,$PWD/backup/,g" -e "s,/run/nbdkit-replicate/,$PWD/,g")
    {
        printf '#!/bin/bash\nwords=()\nfor word in "$@"; do\n    case "$word" in\n'
        local module
        for module in qcow2 vsphere; do
            printf '        %s) word=%q ;;\n' $module "$BUILD/plugins/$module/nbdkit-$module-plugin.so"
        done
        for module in coalesce delta apply fanout pull; do
            printf '        --filter=%s) word=--filter=%q ;;\n' $module "$BUILD/filters/$module/nbdkit-$module-filter.so"
        done
        printf '    esac\n    words+=("$word")\ndone\nexec %q "${words[@]}"\n' "$(command -v nbdkit)"
    } > bin/nbdkit
    # In the foreground: otherwise timeout sends the signal that it gets twice, once to its whole group.
    cat > bin/nbdkit-replicate <<END
#!/bin/bash
case "\$1" in list | status | prune) build=() ;; *) build=(--build '$BUILD') ;; esac
exec timeout --foreground 120 '$SOURCE/scripts/nbdkit-replicate' "\$@" "\${build[@]}"
END
    chmod +x bin/*
    ln -s /usr/bin/python3 bin/  # that nbdsh is for
}

# example TEXT: the example that has a line that begins with TEXT, in example.sh, and on standard error.
example() {
    /usr/bin/python3 "$SOURCE/tests/system/manual/pod_examples.py" "${PAGE_FILE:-$SOURCE/man/$PAGE.pod}" "$1" |
        sed "${PLACES[@]}" > example.sh
    [ -s example.sh ]
    cat example.sh >&2
}

# runs TEXT: carries it out.
runs() {
    example "$1"
    PATH=$PWD/bin:$PATH bash -e example.sh 3>&-
}

# begins NAME TEXT: carries it out in the background, as NAME.pid. The example is one command.
begins() {
    example "$2"
    sed -i '1s/^/exec /' example.sh
    cp example.sh "$1.sh"
    # Behind "&" SIGINT is ignored, also by what timeout runs (coreutils 9.10).
    PATH=$PWD/bin:$PATH env --default-signal=INT bash -e "$1.sh" > "$1.log" 2>&1 3>&- &
    echo $! > "$1.pid"
}

# reached URI: nbdinfo can connect.
reached() { timeout 60 nbdinfo --size "$1" > reached 2>&1; }
# until_reached NAME URI: the server or tunnel that began as NAME leads there.
until_reached() { until_true 30 reached "$2" || { tail -20 "$1.log" reached; return 1; }; }

# plan_file FILE TEXT: the example is a plan, or a part of one, for the simulated vCenter.
plan_file() {
    mkdir -p "$(dirname "$1")"
    example "$2"
    sed -e "s,vc.example.com,$SERVER," -e "s,user = \".*\",user = \"$USER_NAME\"\ncafile = \"$CA\"," example.sh > "$1"
    mkdir -p etc/nbdkit-replicate backup
    cp vc.pass etc/nbdkit-replicate/
}
