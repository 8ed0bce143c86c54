# SPDX-License-Identifier: BSD-3-Clause
#
# The examples of README.md. (The demonstration and the package have tests of their own.)
load ../job
load manual
PAGE_FILE=readme.pod

# examples: those of the page, as those of a manual page are written.
examples() { sed 's/^    / /' "$SOURCE/README.md" > readme.pod; }

@test "what the page links to is there" {
    grep -oE '\]\([^):]+\)' "$SOURCE/README.md" | tr -d ']()' | sort -u > linked
    [ "$(wc -l < linked)" -gt 15 ]
    while read -r file; do [ -e "$SOURCE/$file" ] || { echo "$file"; return 1; }; done < linked
    local page
    for page in "$SOURCE"/man/*.pod; do grep -qxF "man/$(basename "$page")" linked || { echo "$page"; return 1; }; done
}

@test "five minutes, without VMware" {
    examples
    ln -s "$SOURCE/scripts" scripts
    example 'scripts/setup && meson'
    sed -i -e '/^scripts\/setup/d' -e "s,--build build,--build $BUILD," -e 's/200M/120M/' example.sh
    bash -e example.sh > said 2>&1 || { cat said; return 1; }
    grep -q 'the whole disk is copied: 120.0 MiB' said
    example "printf 'hello'"
    sed -i -e "s,--build build,--build $BUILD," example.sh
    bash -e example.sh > said 2>&1 || { cat said; return 1; }
    grep -q ' 0\.1 MiB of 120.0 MiB have changed' said
    grep -q 'Images are identical' said
    grep -q '"owed":\[\]' said
}

# with_vcenter: the example that is in example.sh, for the simulated vCenter.
with_vcenter() {
    sed -i -e "s,server=vc.example.com user=backup,server=$SERVER user=$USER_NAME cafile=$CA," -e "s,/DC/,/DC0/,g" \
        -e "s,+/etc/vc.pass,+vc.pass,; s,+$PWD/etc/vc.pass,+vc.pass," example.sh
}

@test "one command for one machine, and again; a plan" {
    examples
    mkdir dr
    truncate -s "$SIZE" dr/web1-2000
    start dr file dir=dr
    vcenter
    example 'nbdkit-replicate --state web1/'
    with_vcenter
    sed -i "s,'nbds://[^']*','$(uri dr web1-{disk})'," example.sh
    PATH=$PWD/bin:$PATH bash -e example.sh
    guest_writes
    PATH=$PWD/bin:$PATH bash -e example.sh
    same live.img dr/web1-2000
    qemu-img compare -f raw -F qcow2 live.img web1-2000.qcow2

    plan_file prod.toml 'keep = { last = 7, weekly = 8 }'
    mkdir -p etc
    cp vc.pass etc/vc.pass
    sed -i -e 's,/DC/vm/production,/DC0/vm,' -e "1i states = \"states/{vm}\"" prod.toml
    PATH=$PWD/bin:$PATH nbdkit-replicate run prod.toml
    qemu-img compare -f raw -F qcow2 live.img backup/web1/2000-*.qcow2
}

@test "by hand: the three command lines" {
    examples
    vcenter
    truncate -s "$SIZE" dr.raw cloud.raw
    start dr file dr.raw
    start cloud file cloud.raw
    mkdir web1.state.fanout
    local part
    # The image of monday, and that of tuesday over it.
    for part in size="$SIZE" backing=web1-mon.qcow2; do
        example 'nbdkit -U src.sock'
        with_vcenter
        in_background src
        example 'nbdkit -U dst.sock'
        sed -i -e "s,nbds://dr[^ ]*,'$(uri dr)' fanout-name=dr," -e "s,nbds://cloud[^ ]*,'$(uri cloud)' fanout-name=cloud," example.sh
        if [[ $part == size=* ]]; then
            sed -i "s/web1-tue.qcow2 backing=web1-mon.qcow2 backing-format=qcow2/web1-mon.qcow2 $part/" example.sh
        fi
        in_background dst
        runs 'nbdcopy --flush'
        stop dst
        stop src
        same live.img dr.raw
        same live.img cloud.raw
        [ "$(jq -c .owed web1.state)" = '[]' ]
        guest_writes
    done
    [ "$(snapshots)" = 0 ]
    sound web1-tue.qcow2
}

# in_background NAME: the server in example.sh.
in_background() {
    rm -f "$1.sock"
    sed -i "s/^nbdkit -U/exec nbdkit -f -P $1.ready -U/" example.sh
    PATH=$PWD/bin:$PATH bash -e example.sh > "$1.log" 2>&1 3>&- &
    echo $! > "$1.pid"
    until_true 60 started_or_gone "$1"
    [ -s "$1.ready" ] || { cat "$1.log"; return 1; }
}
