# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/mutate, and the lists of faults that it puts in.
load ../../lib

@test "each fault of tests/mutants can be put in, and the tests that have to notice it exist" {
    # In the copy that scripts/mutate makes there are no lists: "0 faults".
    run "$SOURCE/scripts/mutate" --check
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *" faults" ]]
}

# A tree of one room, its unit test, a program in Python, and a bats test of that (TEST: bats would take it for one of
# this file).
small_tree() {
    mkdir -p tree/scripts tree/tests/mutants tree/room
    cp "$SOURCE/scripts/mutate" tree/scripts
    cp "$SOURCE"/tests/mutants/*.py tree/tests/mutants
    cd tree
    git init -q .
    echo '/build*/' > .gitignore
    echo "option('tests', type: 'feature', value: 'disabled')" > meson_options.txt
    cat > meson.build <<'END'
project('small', 'cpp', default_options: ['cpp_std=c++20', 'warning_level=2', 'werror=true', 'buildtype=debugoptimized'])
if get_option('tests').enabled()
  test('room', executable('test_room', 'test_room.cpp', 'room/room.cpp', include_directories: include_directories('.')),
       args: '-v', protocol: 'tap', suite: 'unit')
  test('room-program', find_program('BATS'), args: ['--tap', files('program.bats')], protocol: 'tap', suite: 'modules',
       env: 'SOURCE=' + meson.project_source_root())
endif
END
    # Within a test the first bats on the path is a part of it that nobody else can start.
    sed -i "s,'BATS','$(PATH=${PATH#*/bats-core:} command -v bats)'," meson.build
    cat > room/room.hpp <<'END'
#pragma once
inline constexpr int twice(int n) { return 2 * n; }
int half(int n);
int third(int n);
END
    cat > room/room.cpp <<'END'
#include "room/room.hpp"
int half(int n) {
  return n / 2;
}
int third(int n) { return n / 3; }
END
    # Every case whose name begins with the pattern; one line of TAP each.
    cat > test_room.cpp <<'END'
#include <cstdio>
#include <cstring>
#include "room/room.hpp"
static int failed = 0;
static void point(const char *name, bool good, const char *pattern) {
  if (std::strncmp(name, pattern, std::strlen(pattern)) != 0) return;
  std::printf("%sok 1 - %s\n", good ? "" : "not ", name);
  std::fflush(stdout);
  failed += !good;
}
#define TEST_CASE(name) name
int main(int argc, char **argv) {
  const char *pattern = argc > 2 ? argv[2] : "";
  point(TEST_CASE("twice"), twice(argc) == argc + argc, pattern);
  point(TEST_CASE("half"), half(4) == 2, pattern);
  return failed != 0;
}
END
    printf '%s\n' '#!/usr/bin/python3' 'def answer():' '    return 42' 'print(answer())' > scripts/program
    sed s/^TEST/@test/ > program.bats <<'END'
TEST "the program answers" { [ "$(/usr/bin/python3 "$SOURCE/scripts/program")" = 42 ]; }
TEST "it answers again" { [ "$(/usr/bin/python3 "$SOURCE/scripts/program")" = 42 ]; }
END
}

# fault ID FILE OLD NEW [LINE OF TOML]: one more in the list.
fault() {
    {
        printf '[[fault]]\nid = "%s"\nwhat = "about %s"\nfile = "%s"\n' "$1" "$1" "$2"
        printf "old = '''%s'''\nnew = '''%s'''\n%s\n" "$3" "$4" "${5:-}"
    } >> tests/mutants/room.toml
}

@test "scripts/mutate tells the caught, the survivors, those that hang and those without effect" {
    small_tree
    echo 'tests = ["room"]' > tests/mutants/room.toml
    fault room-half room/room.cpp 'n / 2' 'n / (MUTANT ? 3 : 2)' 'tests = ["unit:room:half"]'
    fault room-twice room/room.hpp '2 * n' '(MUTANT ? 3 : 2) * n' 'tests = ["unit:room:half"]'
    fault room-third room/room.cpp 'n / 3' 'n / (MUTANT ? 2 : 3)' 'tests = ["unit:room"]'
    fault room-crash room/room.cpp 'int half(int n) {' $'int half(int n) {\n  if (MUTANT) __builtin_trap();'
    fault room-program scripts/program 'return 42' 'return 41 if MUTANT else 42' 'tests = ["room-program:answers"]'
    fault room-idle room/room.cpp 'int third(int n) {' $'int third(int n) {\n  n += MUTANT ? 0 : 0;' 'no_effect = "both are one"'
    run scripts/mutate --jobs 1
    echo "$output"
    [ "$status" -eq 1 ]
    grep -qE '^caught +room-half  by unit:room "half"  [0-9.]+ s$' <<< "$output"
    grep -qE '^caught +room-twice  by unit:room "twice", not by its own tests  [0-9.]+ s$' <<< "$output"
    grep -qE '^SURVIVED +room-third  2 tests: about room-third$' <<< "$output"
    grep -qE '^caught +room-crash  by unit:room signal [0-9]+, not' <<< "$output"
    grep -qE '^caught +room-program  by room-program "the program answers"  ' <<< "$output"
    grep -qE '^no effect +room-idle  \(both are one\)$' <<< "$output"
    grep -qE '^room +4 +5 +1$' <<< "$output"
    # Only what is asked for; what is known is not run again, unless that is asked for.
    run scripts/mutate room-half
    [ "$status" -eq 0 ]
    grep -qE '^caught +room-half .* \(as before\)$' <<< "$output"
    run scripts/mutate --again room-half
    [ "$status" -eq 0 ]
    grep -qE '^caught +room-half .* s$' <<< "$output"
    must_fail grep -q room-twice <<< "$output"
    # A test that fails without any fault says nothing about faults.
    sed -i 's,half(4) == 2,half(4) == 3,' test_room.cpp
    run scripts/mutate room-half
    echo "$output"
    [ "$status" -eq 2 ]
    grep -qE '^WRONG +room-half  without any fault unit:room:half fails: "half"$' <<< "$output"
}

@test "a test that never ends is ended, with all that it has started" {
    mkfifo never
    cat > test.py <<'END'
import os, subprocess, sys
sys.path.insert(0, os.environ["SOURCE"] + "/tests/mutants")
sys.dont_write_bytecode = True
import programs, running
script = "setsid sh -c 'echo $$ > \"$1\"; exec cat never' - \"$PWD/pid\" & echo 'ok 1 - begun'; cat"
told = running.run(programs.Test("name", ("/bin/sh", "-c", f"cd {os.getcwd()}; {script} < never"), (), ""), "fault", 5)
assert told.failure == "hang", told
assert told.passed == 1, told
END
    /usr/bin/python3 test.py
    gone "$(cat pid)"
}

# says TEXT: scripts/mutate, and --check, refuse the list and say this.
says() {
    local option
    for option in --check room-half; do
        run scripts/mutate $option
        echo "$output"
        [ "$status" -eq 2 ] || return 1
        [[ "$output" == *"tests/mutants/room.toml: $1"* ]] || return 1
    done
    rm tests/mutants/room.toml
}

@test "a list of faults that does not fit the tree is refused" {
    small_tree
    meson setup build -Dtests=enabled > setup.log
    export BUILD=$PWD/build
    fault room-half room/room.cpp 'return' 'return MUTANT +' 'tests = ["unit:room"]'
    says "room-half: old stands 2 times in room/room.cpp: return"
    fault room-half room/room.cpp 'absent' 'MUTANT' 'tests = ["unit:room"]'
    says "room-half: old does not stand in room/room.cpp: absent"
    fault room-half room/absent.cpp 'absent' 'MUTANT' 'tests = ["unit:room"]'
    says "room-half: room/absent.cpp: No such file or directory"
    fault room-half room/room.cpp 'n / 2' 'n / 3' 'tests = ["unit:room"]'
    says "room-half: new does not say MUTANT"
    fault room-half room/room.cpp 'n / 2' 'n / (2 + MUTANT)'
    says "room-half: it names no tests"
    fault half room/room.cpp 'n / 2' 'n / (2 + MUTANT)' 'tests = ["unit:room"]'
    says "half: an id begins with room-"
    fault room-half room/room.cpp 'n / 2' 'n / (2 + MUTANT)' 'tests = ["unit:room"]'
    fault room-half room/room.cpp 'n / 3' 'n / (3 + MUTANT)' 'tests = ["unit:room"]'
    says "room-half: another fault has this id"
    fault room-half room/room.cpp 'n / 2' 'n / (2 + MUTANT)' 'tests = ["unit:roof"]'
    says "room-half: there is no unit test roof"
    fault room-half room/room.cpp 'n / 2' 'n / (2 + MUTANT)' 'tests = ["unit:room:quarter*"]'
    says "room-half: no case of unit:room is called quarter*"
    fault room-half room/room.cpp 'n / 2' 'n / (2 + MUTANT)' 'tests = ["room-program:lies$"]'
    says "room-half: no case of room-program is called lies$"
    fault room-half room/room.cpp 'n / 2' 'n / (2 + MUTANT)' 'colour = "red"'
    says "room-half: "
}
