# SPDX-License-Identifier: BSD-3-Clause
#
# The life of replicas: nights of a plan of several machines, with what happens to them, and what can be restored then.
load ../job

prepare() {
    export TMPDIR=$PWD/tmp
    mkdir tmp dr
}

# machine_disks VM KEY...: small disks with data and holes, and as large ones for the destination.
machine_disks() {
    local vm=$1 key
    shift
    for key in "$@"; do
        truncate -s 4M "live-$vm-$key"
        random_file part 1500K "$key"
        dd if=part of="live-$vm-$key" bs=64K seek=5 conv=notrunc status=none
        truncate -s 4M "dr/$vm-$key"
    done
}

@test "a week: a run that is killed, a destination away, a CBT reset, a disk added, one grown; restore, verify, prune" {
    machine_disks web 2000 2001 2002
    machine_disks db 2000
    machine_disks mail 2000
    ln -s live-web-2000 live.img
    printf s3cret > vc.pass
    /usr/bin/python3 "$SOURCE/tests/vcenter/vcenter.py" --directory "$PWD" --ready vcenter.json --host --task-ms 20 \
        --vm /DC0/vm/prod/web=vm-1 --disk 2000=live-web-2000 --disk 2001=live-web-2001 --disk 2002=live-web-2002 \
        --vm /DC0/vm/prod/db=vm-2 --disk 2000=live-db-2000 --vm /DC0/vm/prod/mail=vm-3 --disk 2000=live-mail-2000 \
        > vcenter.out 2>&1 3>&- &
    echo $! > vcenter.pid
    until_true 60 [ -s vcenter.json ]
    /usr/bin/python3 -B "$SOURCE/tests/system/life/week.py" 3>&-
}

# LIFE_ROUNDS=100 LIFE_SEED=1: so many random plans, the first with this seed.
@test "random plans, interrupted at random: no point that list calls complete restores wrong" {
    /usr/bin/python3 -B "$SOURCE/tests/system/life/rounds.py" "${LIFE_ROUNDS:-1}" "${LIFE_SEED:-$RANDOM}" 3>&-
}
