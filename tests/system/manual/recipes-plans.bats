# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate-recipes(7): the first week, the cost of a round, a migration in steps, going back.
load ../job
load manual

newest() { find backup/web1 -name '*.qcow2' | sort | tail -1; }

@test "the first week: one machine, compared, restored; then the folder" {
    vcenter
    plan_file etc/nbdkit-replicate/first.toml 'target-parameters = ["apply-verify=100"]'
    runs 'nbdkit-replicate estimate /etc/'
    [ "$(find backup -name '*.qcow2' | wc -l)" = 1 ]
    qemu-img compare -f raw -F qcow2 live.img "$(newest)"

    guest_writes
    runs 'nbdkit-replicate verify /etc/'
    [ "$(find backup -name '*.qcow2' | wc -l)" = 2 ]
    qemu-img compare -f raw -F qcow2 live.img "$(newest)"
    # verify has digests to compare with.
    [ -s "$(newest).digests" ]
    runs 'nbdkit-replicate restore /etc/'
    same live.img backup/web1-2000.raw
    runs "jq -r 'select" > rounds
    [ "$(wc -l < rounds)" = 2 ]
    awk -v size="$SIZE" 'NF != 3 || $3 <= 0 || (NR == 1) != ($2 == size) { exit 1 }' rounds

    # A change that change tracking has left out makes the run fail, as the page says.
    control 'lie?disk=2000&offset=16000000&length=1&byte=77'
    example 'nbdkit-replicate verify /etc/'
    must_fail env PATH="$PWD/bin:$PATH" bash -e example.sh
    plan_file etc/nbdkit-replicate/all.toml 'target-parameters = ["apply-verify=1"]'
    PATH=$PWD/bin:$PATH nbdkit-replicate run etc/nbdkit-replicate/all.toml
    qemu-img compare -f raw -F qcow2 live.img "$(newest)"
    [ "$(snapshots)" = 0 ]
}

@test "the table of how long a copy takes is right" {
    sed -n '/40 MB\/s  100 MB\/s/,/^$/p' "$SOURCE/man/$PAGE.pod" > table
    awk 'NR == 1 { for (i = 1; i < NF; i += 2) rates[++n] = $i; next }
        $2 == "GB" {
            rows++
            for (i = 1; i <= n; i++) {
                minutes = $1 * 1000 / rates[i] / 60
                if ($(i + 2) < minutes - (minutes < 1 ? 0.051 : 0.51) || $(i + 2) > minutes + (minutes < 1 ? 0.051 : 0.51)) {
                    print $1 " GB at " rates[i] ": " minutes ", not " $(i + 2)
                    wrong++
                }
            }
        }
        END { exit rows < 5 || n != 4 || wrong > 0 }' table
}

@test "a migration in steps: increments while the machine runs, the last one when it is off" {
    vcenter
    plan_file move.toml 'target-parameters = ["apply-verify=1"]'
    runs 'nbdkit-replicate estimate move.toml'
    guest_writes
    runs 'nbdkit-replicate estimate move.toml'
    guest_writes 12
    control 'power?on=0'
    mkdir new
    runs 'nbdkit-replicate verify move.toml'
    [ "$(find backup/web1 -name '*.qcow2' | wc -l)" = 3 ]
    runs "nbdkit-replicate restore move.toml web1 --to 'new/"
    qemu-img compare -f raw -F qcow2 live.img new/web1-2000.qcow2
    # It is started again, and all is as before.
    control 'power?on=1'
    guest_writes 13
    runs 'nbdkit-replicate verify move.toml'
    qemu-img compare -f raw -F qcow2 live.img "$(newest)"
}

@test "without parallelism: one request at a time, and the same copy" {
    vcenter
    destinations
    example 'nbdkit-replicate --state web1.state --at-once 1'
    mkdir -p etc/nbdkit-replicate backup
    cp vc.pass etc/nbdkit-replicate/
    sed -i -e "s,server=vc.example.com user=[^ ]*,server=$SERVER user=$USER_NAME cafile=$CA," \
        -e "s,'nbds://dr[^']*','$(uri dr)' fanout-name=dr," example.sh
    PATH=$PWD/bin:$PATH bash -e example.sh
    same live.img dr.raw
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
    # One at a time, and switched on again: the same state goes on.
    [ "$(control state | jq .folder.most_at_once)" = 1 ]
    guest_writes
    sed -i -e 's/connections=1 coalesce-workers=1 coalesce-prefetch=off//' -e 's/ --at-once 1 --threads 1 --client qemu-img//' example.sh
    PATH=$PWD/bin:$PATH bash -e example.sh
    same live.img dr.raw
    qemu-img compare -f raw -F qcow2 live.img web1.qcow2
}

@test "to something else: qemu-img alone reads a restore point" {
    random_file disk.img 4M
    qemu-img convert -O qcow2 disk.img web1-mon.qcow2
    PATH=$PWD/bin:$PATH nbdkit -U - qcow2 web1-tue.qcow2 backing=web1-mon.qcow2 backing-format=qcow2 \
        --run "nbdsh -u \"\$uri\" -c 'h.pwrite(b\"tuesday\", 3000000)'"
    runs 'qemu-img convert'
    printf tuesday | dd of=disk.img bs=1 seek=3000000 conv=notrunc status=none
    same disk.img web1.raw
}
