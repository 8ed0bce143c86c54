# SPDX-License-Identifier: BSD-3-Clause
#
# What is refused at the start.
load ../../lib
load apply

@test "invalid parameters are refused" {
    cp base.raw dst.raw
    refused "apply-from is required" apply-state=web1.state
    refused "apply-state is required" apply-from=map.json
    refused "apply-from=$PWD/map.json: there is no such file" apply-from=map.json apply-state=web1.state
    refused "cannot connect" apply-from="nbd+unix:///?socket=$PWD/nobody.sock" apply-state=web1.state
    echo '[{"offset":0}]' > map.json
    refused "apply-from=$PWD/map.json is not a map" apply-from=map.json apply-state=web1.state
    refused "apply-state=/nonexistent/web1.state" apply-from=map.json apply-state=/nonexistent/web1.state
    refuses "apply-nonsense" timeout 60 nbdkit -U - --filter="$APPLY" memory 1M apply-from=map.json \
        apply-state=web1.state apply-nonsense=1 --run true
}

@test "a state is refused if it is damaged, of another disk, or owes what is not in the delta" {
    source_server
    cp base.raw dst.raw
    args=(apply-from="$(uri src)" apply-state=web1.state)
    echo 'nonsense' > web1.state
    refused "web1.state is not a usable state file" "${args[@]}"
    state() { echo '{"nbdkit-replicate":1,"checkpoint":"'"$1"'","source":"test","vm":"'"$2"'","disk":2000,"size":'"$3"',"owed":['"$4"']}' > web1.state; }
    state c1 vm-2 16777216
    refused "that state is of test vm-2 disk 2000" "${args[@]}"
    state c1 vm-1 16777217
    refused "has shrunk; nothing was changed; remove the state to start with a full copy" "${args[@]}"
    state c1 vm-1 8388608
    refused "what is new is not in the source's delta" "${args[@]}"
    state c0 vm-1 16777216
    refused 'since "c1", but the destination holds "c0"' "${args[@]}"
    state c1 vm-1 16777216 "[0,4096]"
    refused "delta-owed= and this state file" "${args[@]}"
    same base.raw dst.raw
    state c1 vm-1 16777216 "[524288,4096]"
    timeout 60 nbdkit -U - --filter="$APPLY" file dst.raw "${args[@]}" --run true
}

@test "honest extents are refused" {
    source_server
    cp base.raw dst.raw
    refused "not a delta view" apply-from="$(uri src honest)" apply-state=web1.state
}

@test "a client is refused if the destination is smaller than the source" {
    source_server
    truncate -s 16776704 dst.raw
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=web1.state
    must_fail timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    said dst "error: .*destination has 16776704 bytes.* has 16777216"
    [ ! -e web1.state ]
    [ "$(tr -d '\0' < dst.raw | wc -c)" -eq 0 ]
}

@test "a second server with the same state is refused, and so is another export" {
    source_server
    destination_server
    refused "another server is using this state file" apply-from="$(uri src)" apply-state=web1.state
    must_fail timeout 60 nbdinfo --size "$(uri dst other)"
    said dst 'there is no export "other"'
    stop dst
    timeout 60 nbdkit -U - --filter="$APPLY" file dst.raw apply-from="$(uri src)" \
        apply-state=web1.state --run true
}

@test "a second server is refused by whatever name it is given the state" {
    source_server
    mkdir other
    ln -s ../web1.state other/link.state
    destination_server
    refused "another server is using this state file" apply-from="$(uri src)" apply-state=other/link.state
    [ ! -e other/link.state.lock ]
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    [ "$(stat -c %a web1.state)" = 600 ]
    [ "$(stat -c %a web1.state.lock)" = 600 ]
    stop dst
    ln web1.state other/hard.state
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state=other/link.state
    refused "another server is using this state file" apply-from="$(uri src)" apply-state=web1.state
    refused "another server is using this state file" apply-from="$(uri src)" apply-state=other/hard.state
    stop dst
    [ -L other/link.state ]
}

@test "nothing is written through a file that was planted beside the state" {
    source_server
    echo precious > precious
    ln -s precious web1.state.tmp
    destination_server
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    [ "$(cat precious)" = precious ]
    ln -sf precious web1.state.lock
    refused "web1.state.lock" apply-from="$(uri src)" apply-state=web1.state
}

@test "a disk that has grown, and a destination that has not: one error, which names the size" {
    cp disk.raw small.raw
    source_server
    destination_server
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    stop src
    cp web1.state before.state
    truncate -s 20M disk.raw
    echo "0 16M hole" > honest
    next=$(description c2 c3 | sed s/16777216/20971520/)
    start src --filter="$DELTA" --filter=exportname --filter=extentlist file disk.raw extentlist=honest \
        exportname-list=keep exportdesc=fixed:"$next" delta-owed=web1.state
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state"
    must_fail timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    stop dst
    grep -qF "has 20971520: nothing was changed; make the destination at least 20971520 bytes long (qemu-img resize, truncate)" dst.log
    same before.state web1.state
    same small.raw dst.raw
    # Enlarged, it gets what is new, and nothing else.
    truncate -s 20M dst.raw
    start dst --filter="$APPLY" --filter=log file dst.raw logfile=requests apply-from="$(uri src)" \
        apply-state="$PWD/web1.state" apply-verify=off
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    stop dst
    same disk.raw dst.raw
    jq -e '.size == 20971520 and .checkpoint == "c3" and .owed == []' web1.state
    must_fail grep -E ' (Write|Zero|Trim) .* offset=0x[0-9a-f]{1,6} ' requests
}

# image_server UUID BELOW PARAMETERS...: a destination that says that it is the image UUID.
image_server() {
    start dst --filter="$APPLY" --filter=exportname file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state" \
        exportdesc=fixed:'{"nbdkit-replicate-image":1,"image":"'"$1"'","below":['"$2"']}' "${@:3}"
}

@test "a state that names an image is refused for another image, before anything is changed" {
    source_server
    cp --sparse=never base.raw dst.raw
    image_server monday '"sunday"'
    python 'h.pwrite(disk[512 * K:768 * K], 512 * K)'
    until_true 20 said dst "left before"
    stop dst
    [ "$(jq -r .image web1.state)" = monday ]
    cp web1.state before.state
    cp dst.raw before.raw
    # Another image, and one that does not say which it is.
    image_server sunday ''
    must_fail timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    stop dst
    said dst "error: apply-state=.*is of the image monday, but the destination is the image sunday"
    start dst --filter="$APPLY" file dst.raw apply-from="$(uri src)" apply-state="$PWD/web1.state"
    must_fail timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    stop dst
    said dst "error: apply-state=.*does not say which image it is.*apply-image=any"
    same before.raw dst.raw
    same before.state web1.state
    # One that lies over it.
    image_server tuesday '"monday","sunday"'
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    same disk.raw dst.raw
    [ "$(jq -r .image web1.state)" = tuesday ]
    # What the user takes the risk of.
    cp before.state web1.state
    image_server other '' apply-image=any
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    [ "$(jq -r .image web1.state)" = other ]
    said dst "warning: .*accepted because of apply-image=any"
    refused "apply-image=x" apply-from="$(uri src)" apply-state=web1.state apply-image=x
}

@test "a state of another destination is refused, with what to do" {
    source_server
    destination_server apply-destination=web1-dr
    timeout 60 nbdcopy "$(uri src)" "$(uri dst)"
    until_true 20 owes_nothing
    stop dst
    [ "$(jq -r .destination web1.state)" = web1-dr ]
    args=(apply-from="$(uri src)" apply-state=web1.state)
    refused 'that state is of the destination "web1-dr", but apply-destination=web1-cloud' "${args[@]}" apply-destination=web1-cloud
    refused 'remove it to start with a full copy' "${args[@]}" apply-destination=web1-cloud
    refused 'that state is of the destination "web1-dr", but apply-destination= was not given' "${args[@]}"
    refused 'apply-destination=: must be a name' "${args[@]}" apply-destination=
    # The next destination is another file with the same name.
    cp dst.raw tomorrow.raw
    timeout 60 nbdkit -U - --filter="$APPLY" file tomorrow.raw "${args[@]}" apply-destination=web1-dr --run true
}
