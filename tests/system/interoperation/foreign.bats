# SPDX-License-Identifier: BSD-3-Clause
#
# A source that is not part of this project: the script in nbdkit-replicate-delta(7), as it is in that page, and the
# commands that the page shows with it.
load ../../lib

prepare() {
    # The first verbatim paragraph of the page that is a shell script.
    awk '/^ #!\/bin\/sh$/ { on = 1 } on && !/^ / { exit } on { print substr($0, 2) }' \
        "$SOURCE/man/nbdkit-replicate-delta.pod" > source.sh
    chmod +x source.sh
    [ "$(wc -l < source.sh)" -gt 15 ]
    random_file monday.img 4M 1
    cp monday.img tuesday.img
    printf '%s\n' "0 513" "300001 70000" "1048576 65536" "4190000 4304" > changed
    /usr/bin/python3 - <<'PY'
import random
new = random.Random(9)
with open("tuesday.img", "r+b") as f:
    for line in open("changed"):
        offset, length = map(int, line.split())
        f.seek(offset)
        f.write(bytes(length) if offset == 300001 else new.randbytes(length))
PY
    : > web1.raw
    truncate -s 4M web1.raw
}

# source_at DAY SINCE [ARGUMENTS...]: starts the source with the disk of that day.
source_at() {
    DISK=$1.img CHECKPOINT=$1 SINCE=$2 CHANGED=changed \
        start src --filter="$DELTA" sh source.sh delta-owed=web1.state "${@:3}"
}
# destination [PARAMETERS...]: runs the target server and nbdcopy as the page does.
destination() {
    timeout 100 nbdkit -U - --filter="$APPLY" file web1.raw apply-from="$(uri src)" \
        apply-state=web1.state "$@" --run "nbdcopy --flush '$(uri src)' \"\$uri\""
}

@test "the example of the page: a full copy, then an increment, which is verified" {
    source_at monday ""
    destination
    same monday.img web1.raw
    stop src
    source_at tuesday "$(jq -r .checkpoint web1.state)"
    destination apply-verify=100
    same tuesday.img web1.raw
    # The state file is the one that the page shows.
    grep -Fx -- " $(cat web1.state)" "$SOURCE/man/nbdkit-replicate-delta.pod"
    read=$(awk '/sh: pread count=/ { split($0, a, "count="); sum += a[2] } END { print sum + 0 }' src.log)
    [ "$read" -gt 0 ]
}

@test "nbdinfo prints the maps that the page shows" {
    echo "1048576 65536" > changed
    source_at tuesday monday
    for export in "" honest; do
        nbdinfo --map "$(uri src $export)" | sed 's/  */ /g' > told
        awk -v export="nbd+unix:///$export?" 'index($0, "nbdinfo --map") && index($0, export) { on = 1; next }
             on && !/^  / { exit } on' "$SOURCE/man/nbdkit-replicate-delta.pod" | sed 's/  */ /g' > shown
        [ -s shown ]
        diff shown told
    done
}

@test "qemu-img convert -B of the honest export, as the page shows it" {
    source_at tuesday monday
    timeout 100 qemu-img convert -f raw -O qcow2 -B "$PWD/monday.img" -F raw "$(uri src honest)" tuesday.qcow2
    sound tuesday.qcow2
    timeout 60 qemu-img compare -f raw -F qcow2 tuesday.img tuesday.qcow2
    # Only clusters that overlap a change are allocated.
    [ "$(qemu-img map --output=json tuesday.qcow2 | jq '[.[] | select(.depth == 0) | .length] | add')" -le $((7 * 65536)) ]
}

@test "a copy that was interrupted is completed from the next checkpoint" {
    cp monday.img web1.raw
    echo '{"nbdkit-replicate":1,"checkpoint":"monday","source":"example","vm":"web1","disk":1,"size":4194304,"owed":[[2097152,4096]]}' > web1.state
    printf 'lost' | dd of=web1.raw bs=1 seek=2097160 conv=notrunc status=none
    source_at tuesday monday
    destination
    same tuesday.img web1.raw
}

@test "a source that leaves out a change is detected, and the next run is a full copy" {
    cp monday.img web1.raw
    echo '{"nbdkit-replicate":1,"checkpoint":"monday","source":"example","vm":"web1","disk":1,"size":4194304,"owed":[]}' > web1.state
    sed -i '/1048576/d' changed
    source_at tuesday monday
    destination apply-verify=100 > log 2>&1 || true
    grep -q 'error: the destination differs from the source at offset 1048576' log
    [ "$(jq -c '[.checkpoint, .owed]' web1.state)" = '["",[[0,4194304]]]' ]
    stop src
    source_at tuesday "$(jq -r .checkpoint web1.state)"
    destination apply-verify=100
    same tuesday.img web1.raw
    [ "$(jq -c '[.checkpoint, .owed]' web1.state)" = '["tuesday",[]]' ]
}

@test "a source without a description: the eval plugin with extents" {
    start src --filter="$DELTA" eval get_size="stat -c %s $PWD/tuesday.img" \
        pread="dd if=$PWD/tuesday.img skip=\$4 count=\$3 iflag=skip_bytes,count_bytes status=none" \
        can_extents="exit 0" \
        extents="awk '\$1 > at { print at, \$1 - at, 1 } { print \$1, \$2, 0; at = \$1 + \$2 } END { if (at < 4194304) print at, 4194304 - at, 1 }' $PWD/changed"
    cp monday.img web1.raw
    destination
    same tuesday.img web1.raw
    [ "$(jq -c '[.checkpoint, .source, .owed]' web1.state)" = '["","",[]]' ]
}
