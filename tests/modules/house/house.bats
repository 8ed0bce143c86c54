# SPDX-License-Identifier: BSD-3-Clause
load ../../lib

@test "each module loads, and describes itself" {
    for plugin in "$QCOW2" "$VSPHERE"; do
        nbdkit "$plugin" --dump-plugin | grep -q '^thread_model=parallel$'
        nbdkit "$plugin" --help > /dev/null
    done
    for filter in "$COALESCE" "$DELTA" "$APPLY" "$FANOUT" "$PULL"; do
        nbdkit --filter="$filter" null --help > /dev/null
    done
}

@test "a module shows nbdkit one symbol and no other" {
    for module in "$QCOW2" "$VSPHERE"; do
        [ "$(nm -D --defined-only "$module" | awk '{print $3}')" = plugin_init ]
    done
    for module in "$COALESCE" "$DELTA" "$APPLY" "$FANOUT" "$PULL"; do
        [ "$(nm -D --defined-only "$module" | awk '{print $3}')" = filter_init ]
    done
}

@test "folders include what ARCHITECTURE.md allows, no room includes nbdkit, and a name means one thing" {
    run /usr/bin/python3 "$SOURCE/tests/modules/house/structure.py" "$SOURCE"
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

# Nothing else sees a name that a line uses and nobody has defined, before that line is carried out.
@test "pyflakes finds nothing in the Python programs" {
    local -a programs
    mapfile -t programs < <(find "$SOURCE/scripts" "$SOURCE/tests" -name '*.py')
    [ ${#programs[@]} -gt 200 ]
    /usr/bin/python3 -m pyflakes "${programs[@]}" "$SOURCE"/scripts/{mutate,nbdkit-replicate}
    printf 'def f():\n    return start_source()\n' > wrong.py
    refuses "undefined name 'start_source'" /usr/bin/python3 -m pyflakes wrong.py
}

# broken TEXT FILE APPENDED: the check of the structure says TEXT of a tree in which FILE ends with APPENDED.
broken() {
    if [ ! -e tree ]; then
        mkdir tree
        cp -r "$SOURCE/plugins" "$SOURCE/filters" "$SOURCE/common" "$SOURCE/scripts" "$SOURCE/ARCHITECTURE.md" tree
    fi
    printf '%s\n' "$3" >> "tree/$2"
    run /usr/bin/python3 "$SOURCE/tests/modules/house/structure.py" tree
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$1"* ]]
    if [ -e "$SOURCE/$2" ]; then cp "$SOURCE/$2" "tree/$2"; else rm "tree/$2"; fi
}

@test "the check of the structure finds each kind of broken rule" {
    broken "only a door may" plugins/qcow2/image.cpp '#include <nbdkit-common.h>'
    broken "of another module" plugins/qcow2/image.cpp '#include "plugins/vsphere/settings.hpp"'
    broken "of another module" common/util/fd.cpp '#include "filters/delta/settings.hpp"'
    broken "a room includes a part of the door" filters/fanout/fanout_server.cpp '#include "filters/fanout/parameters.hpp"'
    broken "a room includes a part of the door" filters/apply/job/job.cpp '#include "common/nbdkit/error.hpp"'
    broken "plugins/qcow2/format/ may not include plugins/qcow2/file/" plugins/qcow2/format/header.cpp \
        '#include "plugins/qcow2/file/image_file.hpp"'
    broken "common/util/ may not include common/nbd/" common/util/fd.cpp '#include "common/nbd/pool.hpp"'
    broken "is no file of the tree" plugins/qcow2/image.cpp '#include "plugins/qcow2/absent.hpp"'
    broken "the class name TableWriter stands in" filters/delta/settings.hpp 'class TableWriter {'
    broken "the file name table_writer stands in" filters/delta/table_writer.hpp '// a file'
    broken "filters/delta/lost.cpp is in no meson.build" filters/delta/lost.cpp '// a file'
    broken "scripts/nbdkit_replicate/images.py: of_nobody is used by nothing" scripts/nbdkit_replicate/images.py \
        'def of_nobody(): pass'
    broken "scripts/nbdkit_replicate/images.py: wave is imported and not used" scripts/nbdkit_replicate/images.py 'import wave'
    mkdir -p tree/filters/delta/new
    echo '// a file' > tree/filters/delta/new/room.hpp
    run /usr/bin/python3 "$SOURCE/tests/modules/house/structure.py" tree
    [[ "$output" == *"filters/delta/new/ is not in the table of folders"* ]]
    rm -r tree/filters/delta/new
    broken "part it, or say at its head why not" plugins/qcow2/image.cpp "$(yes '//' | head -250)"
}

@test "an unknown parameter of a module is refused, in the same words by all" {
    local name
    for name in coalesce delta apply fanout pull; do
        refuses "unknown parameter $name-nonsense: see nbdkit-$name-filter(1)" \
            nbdkit -U - --filter="$BUILD/filters/$name/nbdkit-$name-filter.so" null "$name-nonsense=1" --run true
    done
    for name in qcow2 vsphere; do
        refuses "unknown parameter nonsense: see nbdkit-$name-plugin(1)" \
            nbdkit -U - "$BUILD/plugins/$name/nbdkit-$name-plugin.so" nonsense=1 --run true
    done
}

# parameters_in_help plugin|filter NAME MODULE-ARGUMENTS...
parameters_in_help() {
    nbdkit "${@:3}" --help | sed -n "/^$1: $2 /,/^\$/p" | grep -oE '^\[?[a-z0-9-]+=' | tr -d '[=' | sort -u
}
parameters_in_page() {
    grep -oE '^=item (\[)?B<(\[)?[a-z0-9-]+=' "$SOURCE/man/nbdkit-$2-$1.pod" | grep -oE '[a-z0-9-]+=' | tr -d = | sort -u
}

@test "the help and the manual page name the same parameters" {
    local name
    for name in qcow2 vsphere; do
        [ -n "$(parameters_in_page plugin $name)" ]
        diff <(parameters_in_help plugin $name "$BUILD/plugins/$name/nbdkit-$name-plugin.so") \
            <(parameters_in_page plugin $name)
    done
    for name in coalesce delta apply fanout pull; do
        [ -n "$(parameters_in_page filter $name)" ]
        diff <(parameters_in_help filter $name --filter="$BUILD/filters/$name/nbdkit-$name-filter.so" null) \
            <(parameters_in_page filter $name)
    done
}

@test "each parameter of a module in the example plan is one that the module has" {
    local name
    for name in qcow2 vsphere; do parameters_in_help plugin $name "$BUILD/plugins/$name/nbdkit-$name-plugin.so"; done > known
    for name in coalesce delta apply fanout; do
        parameters_in_help filter $name --filter="$BUILD/filters/$name/nbdkit-$name-filter.so" null
    done >> known
    /usr/bin/python3 - "$SOURCE/scripts/examples/plan.toml" > given <<'PY'
import sys, tomllib
def parameters(value, key=""):
    if isinstance(value, dict):
        for inner, element in value.items():
            yield from parameters(element, inner)
    elif isinstance(value, list):
        for element in value[2 if key == "source" else 0:]:  # after the plugin and its file
            yield from parameters(element, key)
    elif key in ("parameters", "target-parameters", "source"):
        yield value.partition("=")[0]
print(*parameters(tomllib.load(open(sys.argv[1], "rb"))), sep="\n")
PY
    [ "$(wc -l < given)" -ge 5 ]
    [ -z "$(sort -u given | grep -vxFf known)" ]
}

# dump_of MODULE: what --dump-plugin prints of it, alone.
dump_of() {
    case "$1" in
        qcow2 | vsphere) nbdkit "$BUILD/plugins/$1/nbdkit-$1-plugin.so" --dump-plugin ;;
        *) nbdkit --filter="$BUILD/filters/$1/nbdkit-$1-filter.so" null --dump-plugin ;;
    esac | grep "^$1_"
}

@test "lines of the Markdown pages have at most 128 columns" {
    cd "$SOURCE"
    find . -name '*.md' ! -path './build*' > "$BATS_TEST_TMPDIR/pages"
    grep -q ARCHITECTURE.md "$BATS_TEST_TMPDIR/pages"
    xargs awk 'length > 128 { print FILENAME ":" FNR ": " length; long++ } END { exit long > 0 }' < "$BATS_TEST_TMPDIR/pages"
}

@test "--dump-plugin tells each module's version, its parameters and the versions of its libraries" {
    version=$(meson introspect --projectinfo "$BUILD" | jq -r .version)
    local minor name modules=(qcow2 vsphere)
    minor=$(nbdkit --dump-config | sed -n 's/^version_minor=//p')
    # nbdkit asks filters since 1.36.
    if [ "$minor" -ge 36 ]; then modules+=(coalesce delta apply fanout pull); fi
    for name in "${modules[@]}"; do
        dump_of "$name" > dump
        grep -qx "${name}_version=$version" dump
        local kind=filter module=(--filter="$BUILD/filters/$name/nbdkit-$name-filter.so" null)
        case $name in qcow2 | vsphere) kind=plugin module=("$BUILD/plugins/$name/nbdkit-$name-plugin.so") ;; esac
        diff <(sed -n "s/^${name}_parameters=//p" dump | tr , '\n' | sort) <(parameters_in_help $kind "$name" "${module[@]}")
        case $name in
            coalesce) ;;
            qcow2) grep -qE '^qcow2_libzstd=[0-9.]+$' dump ;;
            *) [ "$(sed -n "s/^${name}_libnbd=//p" dump)" = "$(pkg-config --modversion libnbd)" ] ;;
        esac
        # nbdkit itself prints the path and the name of a filter.
        grep -vE "^${name}_(path|name)=" dump | sed 's/=.*//' | sort > keys
        diff keys <(sed -n '/^=head1 VERSIONS/,/^=head1 SEE/p' "$SOURCE/man/nbdkit-$name-$kind.pod" | tr -d '\n' |
            grep -oE "C<${name}_[a-z0-9]+>" | sed 's/C<\(.*\)>/\1/' | sort)
    done
    nbdkit "$VSPHERE" --dump-plugin | grep -qE '^vsphere_libcurl=[0-9.]+'
    nbdkit "$QCOW2" --dump-plugin | grep -qx "version=$version"
}

@test "meson install puts each module where nbdkit looks for it, and its page into man" {
    DESTDIR=$BATS_TEST_TMPDIR/root meson install -C "$BUILD" --no-rebuild > install.log
    root=$BATS_TEST_TMPDIR/root
    for name in qcow2 vsphere; do
        nbdkit "$root$(pkg-config --variable=plugindir nbdkit)/nbdkit-$name-plugin.so" --dump-plugin |
            grep -q "^name=$name\$"
        [ -s "$(find "$root" -path "*/man1/nbdkit-$name-plugin.1")" ]
    done
    nbdkit "$root$(pkg-config --variable=plugindir nbdkit)/nbdkit-vsphere-plugin.so" --dump-plugin |
        grep -qE "^vddk_helper=$(realpath "$root")/.*/nbdkit-replicate/nbdkit-vsphere-vddk\$"
    for name in coalesce delta apply fanout pull; do
        nbdkit --filter="$root$(pkg-config --variable=filterdir nbdkit)/nbdkit-$name-filter.so" \
            null --dump-plugin | grep -q '^name=null$'
        [ -s "$(find "$root" -path "*/man1/nbdkit-$name-filter.1")" ]
    done
    for name in delta recipes trouble; do [ -s "$(find "$root" -path "*/man7/nbdkit-replicate-$name.7")" ]; done
    [ -s "$(find "$root" -path '*/examples/kubernetes/replicate.yaml')" ]
    "$(find "$root" -path '*/bin/nbdkit-replicate')" --help | grep -q '^usage: nbdkit-replicate '
    [ -s "$(find "$root" -path '*/man1/nbdkit-replicate.1')" ]
    [ -s "$(find "$root" -path '*/man5/nbdkit-replicate.plan.5')" ]
    [ -s "$(find "$root" -path '*/doc/nbdkit-replicate/examples/plan.toml')" ]
}

@test "systemd finds nothing to complain of" {
    command -v systemd-analyze > /dev/null || skip "no systemd"
    DESTDIR=$BATS_TEST_TMPDIR/root meson install -C "$BUILD" --no-rebuild > install.log
    mkdir units
    find "$BATS_TEST_TMPDIR/root" -name 'nbdkit-replicate*@.service' -exec cp {} units \; \
        -o -name 'nbdkit-replicate*@.timer' -exec cp {} units \;
    # It looks for the program and its manual page, which are not installed here.
    sed -i 's,^ExecStart=nbdkit-replicate,ExecStart=/bin/true,' units/*.service
    grep -q '^ExecStart=/bin/true @' units/nbdkit-replicate@.service
    grep -q '^ExecStart=/bin/true run ' units/nbdkit-replicate-plan@.service
    # The example is told to others.
    sed -i 's,^\[Unit\],&\nOnFailure=nbdkit-replicate-failed@%n.service,' units/nbdkit-replicate-plan@.service
    SYSTEMD_UNIT_PATH=$PWD/units: systemd-analyze verify --man=no "$PWD"/units/nbdkit-replicate@web1.{service,timer} \
        "$PWD"/units/nbdkit-replicate-plan@web.{service,timer} "$PWD/units/nbdkit-replicate-failed@x.service" > said 2>&1
    cat said
    [ -z "$(grep nbdkit said)" ]
}

# options_of [VERB]: the options in a help; options_in_page HEADING: those in a section of the manual page.
options_of() {
    "$SOURCE/scripts/nbdkit-replicate" "$@" --help | sed -n '/^options:/,$p' | grep -oE '^ .*' |
        grep -oE '(^|[ ,])--?[a-z][a-z-]*' | grep -oE -- '-.*' | sort -u
}
options_in_page() {
    sed -nE "/^=head[12] $1\$/,/^=head[12] /p" "$SOURCE/man/nbdkit-replicate.pod" |
        grep '^=item B<-' | grep -oE 'B<-[a-z-]+' | cut -c3- | sort -u
}

@test "the help of nbdkit-replicate and its manual page name the same options" {
    diff <(options_of) <(options_in_page OPTIONS)
    # Those of a verb; each has --help.
    local verb
    for verb in $("$SOURCE/scripts/nbdkit-replicate" --help | sed -n '/^verbs/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
        echo "$verb"
        diff <(options_of "$verb" | grep -vxE -- '-h|--help') <(options_in_page "$verb( .*)?")
    done
    [ "$verb" ]
}
