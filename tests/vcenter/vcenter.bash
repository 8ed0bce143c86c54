# SPDX-License-Identifier: BSD-3-Clause
#
# For tests with the simulated vCenter: load ../../lib, then load ../../vcenter/vcenter
# tests/vcenter/vcenter.py --help describes its options and controls.

# start_vcenter NAME ARGUMENTS...: starts the simulator in the background with its files in directory
# NAME. Returns when it listens. teardown stops it by NAME.pid.
start_vcenter() {
    start_simulator "$1" "$SOURCE/tests/vcenter/vcenter.py" "${@:2}"
}

# start_simulator NAME PROGRAM ARGUMENTS...: the same for another program with the same options.
start_simulator() {
    local name=$1
    rm -f "$name.json"
    "$2" --directory "$name" --ready "$name.json" "${@:3}" > "$name.log" 2>&1 3>&- &
    echo $! > "$name.pid"
    until_true 30 answered_or_gone "$name" || { cat "$name.log" >&2; return 1; }
    [ -e "$name.json" ] || { cat "$name.log" >&2; return 1; }
}
answered_or_gone() { [ -e "$1.json" ] || gone_by_file "$1.pid"; }

# vcenter_fact NAME host|cafile|thumbprint|thumbprint_sha256
vcenter_fact() {
    local facts
    read -r facts < "$1.json" || [ -n "$facts" ] || return 1
    [[ $facts =~ \"$2\":\ *\"([^\"]*)\" ]] || return 1
    echo "${BASH_REMATCH[1]}"
}

# vcenter NAME PATH CURL-OPTIONS...: curl of https://HOST/PATH, with verification of its certificate.
vcenter() {
    local facts host
    read -r facts < "$1.json" || [ -n "$facts" ] || return 1
    [[ $facts =~ \"host\":\ *\"([^\"]*)\" ]] || return 1
    host=${BASH_REMATCH[1]}
    [[ $facts =~ \"cafile\":\ *\"([^\"]*)\" ]] || return 1
    curl -sS --max-time 60 --cacert "${BASH_REMATCH[1]}" "${@:3}" "https://$host/$2"
}

# control NAME 'write?offset=0&length=1&byte=1' CURL-OPTIONS...: fails if the simulator refuses.
control() { vcenter "$1" "_test/$2" --fail-with-body "${@:3}"; }

# soap NAME METHOD KIND MOREF ARGUMENTS-XML: prints the answer, and keeps the cookie in
# NAME.cookies. A fault is a failure.
soap() {
    printf '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<%s xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><_this type="%s">%s</_this>%s</%s></s:Body></s:Envelope>' \
        "$2" "$3" "$4" "${5:-}" "$2" |
        vcenter "$1" sdk --fail-with-body -b "$1.cookies" -c "$1.cookies" --data-binary @- \
            -H 'Content-Type: text/xml; charset=utf-8' -H 'SOAPAction: "urn:vim25/6.7"'
}

# soap_login NAME [PASSWORD]
soap_login() {
    soap "$1" Login SessionManager SessionManager \
        "<userName>administrator@vsphere.local</userName><password>${2:-s3cret}</password>"
}

# soap_property NAME KIND MOREF PATH: prints the answer of the property collector.
soap_property() {
    soap "$1" RetrievePropertiesEx PropertyCollector "${COLLECTOR:-propertyCollector}" \
        "<specSet><propSet><type>$2</type><pathSet>$4</pathSet></propSet><objectSet><obj type=\"$2\">$3</obj></objectSet></specSet><options></options>"
}

# element NAME: prints the text of each element NAME in the XML on stdin, one on each line.
element() { grep -o "<$1[ >][^<]*</$1>" | sed 's/^[^>]*>//; s/<.*//' || true; }

# soap_snapshot NAME VM: takes a snapshot, prints its moref.
soap_snapshot() {
    local task
    task=$(soap "$1" CreateSnapshot_Task VirtualMachine "$2" \
        "<name>test</name><description></description><memory>false</memory><quiesce>false</quiesce>" |
        element returnval)
    until_true 20 task_ended "$1" "$task"
    soap_property "$1" Task "$task" info.result | element val
}

# soap_remove NAME SNAPSHOT
soap_remove() {
    local task
    task=$(soap "$1" RemoveSnapshot_Task VirtualMachineSnapshot "$2" \
        "<removeChildren>false</removeChildren>" | element returnval)
    until_true 20 task_ended "$1" "$task"
}
task_ended() { soap_property "$1" Task "$2" info.state | element val | grep -q '^success$'; }

# soap_changes NAME VM SNAPSHOT CHANGE-ID SIZE: prints "start length" of each area of all
# pages, one on each line.
soap_changes() {
    local at=0 page
    while [ "$at" -lt "$5" ]; do
        page=$(soap "$1" QueryChangedDiskAreas VirtualMachine "$2" \
            "<snapshot type=\"VirtualMachineSnapshot\">$3</snapshot><deviceKey>2000</deviceKey><startOffset>$at</startOffset><changeId>$4</changeId>") || return 1
        echo "$page" | grep -o '<changedArea>.\{1,80\}</changedArea>' |
            sed 's/<\/start><length>/ /; s/<[^>]*>//g' || true
        at=$((at + $(echo "$page" | sed 's/<changedArea>.*//' | element length)))
    done
}
