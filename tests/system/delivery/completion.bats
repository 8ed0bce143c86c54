# SPDX-License-Identifier: BSD-3-Clause
#
# Completion by bash and zsh, in a shell on a terminal.
load ../../lib

prepare() {
    mkdir bin plugins work
    ln -s "$SOURCE/scripts/nbdkit-replicate" bin/
    ln -s "$QCOW2" "$VSPHERE" plugins/
    # nbdkit as if these modules were installed.
    cat > bin/nbdkit << END
#!/bin/bash
arguments=()
for argument; do
    case \$argument in
        --filter=*) argument=--filter=$BUILD/filters/\${argument#--filter=}/nbdkit-\${argument#--filter=}-filter.so ;;
        qcow2 | vsphere) argument=$PWD/plugins/nbdkit-\$argument-plugin.so ;;
    esac
    arguments+=("\$argument")
done
$(command -v nbdkit) "\${arguments[@]}" | sed 's,^plugindir=.*,plugindir=$PWD/plugins,'
END
    chmod +x bin/nbdkit
    PATH=$PWD/bin:$PATH
    cd work
    touch web1.qcow2
    declare -gA COMPLETION=([bash]=$SOURCE/scripts/completion/nbdkit-replicate.bash [zsh]=$SOURCE/scripts/completion)
}

# completions SHELL LINE: the words, with spaces between them.
completions() {
    timeout 300 /usr/bin/python3 "$SOURCE/tests/system/delivery/completion.py" "$1" "$2" "${COMPLETION[$1]}" | xargs
}

# verbs: those that the command names when it is given another.
verbs() { nbdkit-replicate noverb 2>&1 | sed -n 's/.*these there are: //p' | tr -d , | sorted; }
# options_of [VERB]: those of its help.
options_of() { nbdkit-replicate "$@" --help | grep -oE -- '--[a-z][a-z-]*' | sort -u | xargs; }
# parameters_in: those in a help, each with "=".
parameters_in() { sed -nE 's/^\[?([a-z0-9-]+=).*/\1/p' | sort | xargs; }
sorted() { xargs -n1 | sort | xargs; }

# complete_everything SHELL
complete_everything() {
    [ "$(completions "$1" 'nbdkit-replicate re')" = restore ]
    [[ "$(verbs)" == cutover*run*use* ]]
    [ "$(completions "$1" 'nbdkit-replicate ')" = "$(verbs)" ]
    [ "$(completions "$1" 'nbdkit-replicate --')" = "$(options_of)" ]
    [ "$(completions "$1" 'nbdkit-replicate restore --')" = "$(options_of restore)" ]
    [ "$(completions "$1" 'nbdkit-replicate --to ')" = "qcow2 vsphere" ]
    [ "$(completions "$1" 'nbdkit-replicate --from vs')" = vsphere ]

    local from to also
    from=$(nbdkit --filter=delta --filter=coalesce vsphere --help | parameters_in)
    [[ "$from" == *coalesce-gap=*delta-map=*thumbprint=* ]]
    [ "$(completions "$1" 'nbdkit-replicate --from vsphere ' | sorted)" = "$from" ]
    to=$(nbdkit --filter=pull --filter=apply --filter=fanout qcow2 --help | parameters_in)
    [[ "$to" == *apply-verify=*fanout-dest=*pull-copy=*seal=* ]]
    [ "$(completions "$1" 'nbdkit-replicate --state s --from file disk --to qcow2 lock=off ' | sorted)" = "$to" ]
    also=$(nbdkit --filter=fanout null --help | sed -n '/^filter: fanout/,/^$/p' | parameters_in)
    [ "$(completions "$1" 'nbdkit-replicate --to qcow2 file=f --also nbd://dr fanout-' | sorted)" = "$also" ]
    [ "$(completions "$1" 'nbdkit-replicate --to qcow2 sea')" = seal= ]
    [ "$(completions "$1" 'nbdkit-replicate use --' )" = "$(options_of use)" ]
    [ "$(completions "$1" 'nbdkit-replicate --client ' | sorted)" = "nbdcopy pull qemu-img" ]
    # Files, where a file is named.
    [ "$(completions "$1" 'nbdkit-replicate --state web')" = web1.qcow2 ]
    [ "$(completions "$1" 'nbdkit-replicate --to qcow2 file=web')" = file=web1.qcow2 ]
    [ "$(completions "$1" 'nbdkit-replicate run web')" = web1.qcow2 ]
}

@test "bash completes verbs, options, plugins, the parameters of modules, and files" {
    complete_everything bash
}

@test "zsh completes verbs, options, plugins, the parameters of modules, and files" {
    command -v zsh > /dev/null || skip "no zsh"
    complete_everything zsh
}

@test "nbdkit's own completion has the parameters of the plugins" {
    COMPLETION[bash]="/usr/share/bash-completion/bash_completion /usr/share/bash-completion/completions/nbdkit"
    local file
    for file in ${COMPLETION[bash]}; do [ -e "$file" ] || skip "no $file"; done
    completion() {
        timeout 300 /usr/bin/python3 "$SOURCE/tests/system/delivery/completion.py" bash "$1" ${COMPLETION[bash]} | xargs
    }
    [ "$(completion 'nbdkit vsphere thumb')" = thumbprint= ]
    [ "$(completion 'nbdkit qcow2 sea')" = seal= ]
}
