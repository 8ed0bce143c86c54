# SPDX-License-Identifier: BSD-3-Clause
#
# The vsphere plugin. No password, session or ticket is in the log, nor in an error that a client is told: since
# version 1.42 nbdkit tells a client that it does not accept why, in the words of nbdkit_error().
load ../../lib
load ../../vcenter/vcenter
load vsphere

# failing_reads WHERE: reads for which requests fail, in each way that the simulator knows. What libnbd has received is
# in told.log.
failing_reads() {
    local kind
    for kind in 401 403 404 500 503 reset short shorter ignore-range; do
        control vc "fault?where=$1&kind=$kind&count=100"
        read_and_tell
        control vc nofault
    done
}
read_and_tell() { /usr/bin/python3 "$BATS_TEST_DIRNAME/told.py" "$(uri src)" >> told.log 2>&1; }

# no_secret_in FILE...: neither as it is, nor as it is sent: in XML, in a URL, in an Authorization header.
no_secret_in() {
    of "'\n'.join(s['secrets'])" > all.secrets
    [ "$(wc -l < all.secrets)" -ge 3 ]
    /usr/bin/python3 - administrator@vsphere.local all.secrets "$@" <<'PY'
import base64, sys, urllib.parse, xml.sax.saxutils
user, secrets, *files = sys.argv[1:]
found = 0
for secret in open(secrets).read().split("\n")[:-1]:
    forms = {secret, urllib.parse.quote(secret, safe=""), xml.sax.saxutils.escape(secret),
             base64.b64encode(f"{user}:{secret}".encode()).decode()}
    for file in files:
        text = open(file, errors="replace").read()
        for form in forms:
            if form in text:
                found += 1
                print(f"{file} has {form!r}:", next(line for line in text.split("\n") if form in line))
sys.exit(found != 0)
PY
}

# told_by_nbdkit: nbdkit tells a client why (1.42).
told_by_nbdkit() {
    local version
    version=$(nbdkit --dump-config | sed -n 's/^version_minor=//p')
    [ "$version" -ge 42 ]
}

@test "no error or log of a read that fails has a password, session or ticket, through the vCenter or directly" {
    echo 't0p&<s3cret>' > pass
    local host
    for host in '' --host; do
        vc --password 't0p&<s3cret>' $host
        serve disk=2000 retries=1
        nbdcopy "$(uri src)" null:
        failing_reads flat
        if [ -n "$host" ]; then failing_reads host; fi
        control vc 'fault?where=Login&kind=InvalidLogin&count=100' # first: nobody logs in while the sessions are valid
        control vc expire
        read_and_tell
        control vc nofault
        stop src
        no_secret_in src.log told.log vc.log
        cat src.log >> all.log
        stop vc
    done
    # These are errors of those reads.
    grep -q 'error: .*ignores Range requests' all.log
    grep -q 'error: .*refuses' all.log
    # What the host does not give comes through the vCenter, so most of those of the second round succeed.
    [ "$(grep -c '^the read failed' told.log)" -ge 10 ]
    if told_by_nbdkit; then
        [ "$(grep -c "^the read failed: .*whether the snapshot .* is still there is not known" told.log)" = 2 ]
    fi
}

@test "no error or log of a server that does not start has a password" {
    echo 't0p&<s3cret>' > pass
    vc --password 't0p&<s3cret>'
    local method kind
    for method in Login RetrieveServiceContent RetrievePropertiesEx CreateSnapshot_Task QueryChangedDiskAreas; do
        for kind in SystemError 503; do
            control vc "fault?where=$method&kind=$kind&count=100"
            refuses error timeout 60 nbdkit -fv -U - "$VSPHERE" "${SERVER[@]}" "$TRUST" "$VM" retries=0 --run true
            echo "$output" >> start.log
            control vc nofault
        done
    done
    no_secret_in start.log
    # An address with a user and a password is none; nor is it repeated.
    refuses 'HOST or HOST:PORT' nbdkit -U - "$VSPHERE" server=admin:t0p-s3cret@vc "$TRUST" "$VM" --run true
    [[ "$output" != *s3cret* ]]
}
