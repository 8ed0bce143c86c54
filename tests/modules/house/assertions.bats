# SPDX-License-Identifier: BSD-3-Clause
#
# What the tests of bats say is asserted is asserted, and no machine is too slow for it: see assertions.py.
load ../../lib

CHECK=tests/modules/house/assertions.py

@test "each assertion of a bats test counts, and none depends on how fast the machine is" {
    cd "$SOURCE"
    # All but this file, which has an example of each kind.
    mapfile -t files < <(find tests '(' -name '*.bats' -o -name '*.bash' ')' -not -path '*/house/assertions.bats')
    [ ${#files[@]} -gt 20 ]
    run /usr/bin/python3 "$CHECK" "${files[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
}

# with LINES: a file of two tests with these lines, and what is said of it. (TEST: bats would take it for one of this file.)
with() {
    sed s/^TEST/@test/ > file.bats <<END
helper() {
    [ 1 = 2 ]
    [ 1 = 1 ]
}
TEST "first" {
    $1
    true
}
END
    run /usr/bin/python3 "$SOURCE/$CHECK" file.bats
    echo "$1: $output"
}
refused() { with "$2" && [ "$status" -eq 1 ] && [[ "$output" == "file.bats:"*"$1"* ]]; }
allowed() { with "$1" && [ "$status" -eq 0 ] && [ -z "$output" ]; }

@test "what would not be asserted is found" {
    local only="asserts only what is behind the last &&"
    refused "6: $only" '[ 1 = 2 ] && [ 1 = 1 ]'
    refused "6: $only" 'grep -q a b && same a b'
    refused "6: $only" $'[ 1 = 2 ] &&\n        [ 1 = 1 ]'
    refused "6: $only" 'if true; then [ 1 = 2 ] && true; fi'
    refused "6: $only" 'for a in b c; do grep $a d && grep $a e; done'
    refused "6: $only" 'case a in a) [ 1 = 2 ] && true ;; esac'
    refused "6: $only" 'echo "&&" "$(a && b)" && [[ a && b ]]'
    refused "does not fail a test: !" '! grep -q a b'
    refused "never fails: || true" '[ 1 = 2 ] || true'
    refused "never fails: || :" 'until_true 60 [ -e a ] || :'
    refused "never fails: || echo" 'same a b || echo differ'
    refused "2: is not asserted, for helper is called where" 'helper || return 1'
    refused "2: is not asserted, for helper is called where" 'until_true 60 helper'
    refused "2: is not asserted, for helper is called where" 'if helper; then true; fi'
    refused "2: is not asserted, for helper is called where" 'other() { helper; }; must_fail other'
    refused "nobody looks at what it ran" 'run nbdcopy a b'
    refused "a sleep" 'sleep 1'
    refused "a sleep" $'python3 - <<PY\ntime.sleep(0.5)\nPY'
    refused "a limit below a minute: the machine may be busy: timeout 20" 'timeout 20 nbdinfo a'
    refused "the time that something took is no assertion" '[ $((SECONDS - begin)) -lt 100 ]'
    refused "the time that something took is no assertion" $'python3 -c "\nassert 1 < took < 10\n"'
    refused "a fixed port: localhost:10809" 'nbdinfo nbd://localhost:10809'
    refused "a fixed port: -p 10809" 'nbdkit -p 10809 null'
    refused "this is not understood" 'done'
}

@test "what is asserted, or is no assertion, is left alone" {
    allowed $'[ 1 = 1 ]\n    same a b'
    allowed '[[ 1 = 1 && 2 = 2 ]]'
    allowed 'both() { [ 1 = 1 ] && [ 2 = 2 ]; }'
    allowed $'both() {\n        local a\n        if true; then [ 1 = 1 ] && [ 2 = 2 ]; fi\n    }\n    both'
    allowed '(cd a && b)'
    allowed 'if [ 1 = 1 ] && [ 2 = 2 ]; then true; fi'
    allowed 'until [ -e a ] && [ -e b ]; do true; done'
    allowed '[ -e a ] && return 0'
    allowed 'for a in b; do [ -e $a ] && continue; done'
    allowed 'command -v a || skip "no a"'
    allowed '[ 1 = 1 ] && [ 2 = 2 ] || { cat log; return 1; }'
    allowed $'[ 1 = 1 ] &&\n    [ 2 = 2 ] ||\n    return 1'
    allowed 'wait $client || true'
    allowed 'grep -c a b || true'
    allowed 'helper'
    allowed $'run nbdcopy a b\n    [ "$status" -eq 1 ]'
    allowed $'looks() { [ "$status" -eq 1 ]; }\n    run nbdcopy a b\n    looks'
    allowed $'nbdkit eval pread=\'a && b\' <<PY\na && b\nPY'
    allowed $'x=(a "$b" [ c ])  # a && b\n    while read -r line; do echo "$line"; done < <(a && b)'
    allowed 'timeout 60 nbdinfo a'
    allowed 'nbdinfo nbd://localhost:1/'
}

# not COMMAND...: one of the library's checks, which must say no.
not() {
    run "$@"
    [ "$status" -ne 0 ]
}

@test "what the library offers for asserting says no when it should" {
    must_fail false
    not must_fail true
    not must_fail sh -c 'kill -KILL $$'
    not must_fail timeout 0.1 sleep 100
    refuses "no good" sh -c 'echo it is no good; exit 3'
    not refuses "no good" sh -c 'echo it is no good'
    not refuses "no good" sh -c 'echo it is bad; exit 3'
    not refuses "no good" sh -c 'echo it is no good; kill -KILL $$'
    not refuses "no good" timeout 0.1 sh -c 'echo it is no good; sleep 100'
    not until_true 0 [ -e absent ]
    not start server null --unknown-option
    [ ! -e server.ready ]
    echo a > a
    echo b > b
    not same a b
    not sound a
    not listens absent
    not gone $$
}
