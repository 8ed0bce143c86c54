# SPDX-License-Identifier: BSD-3-Clause
#
# bash completion of nbdkit-replicate(1). Options and verbs are those of --help; parameters those of the modules that
# the command starts, as nbdkit tells them. (nbdkit's own completion asks it for those of each plugin, too.)

# _nbdkit_replicate_parameters OPTION MODULE: PARAMETER= of a module that stands behind --from, --to or --also.
_nbdkit_replicate_parameters() {
    case "$1" in
        --from) nbdkit --filter=delta --filter=coalesce "$2" --help ;;
        --to) nbdkit --filter=pull --filter=apply --filter=fanout "$2" --help ;;
        --also) nbdkit --filter=fanout null --help | sed -n '/^filter: fanout/,/^$/p' ;;
    esac 2> /dev/null | sed -nE 's/^\[?([a-z0-9-]+=).*/\1/p'
}

_nbdkit_replicate() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= option= module= i
    COMPREPLY=()
    if [ $COMP_CWORD -gt 1 ] && [[ ${COMP_WORDS[1]} != [-@]* ]]; then verb=${COMP_WORDS[1]}; fi
    # The last option before the cursor, and what follows it.
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == --* ]]; then option=${COMP_WORDS[i]} module=${COMP_WORDS[i + 1]}; fi
    done
    if [[ $cur == = || $prev == = ]]; then return; fi
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$(nbdkit-replicate $verb --help | grep -oE -- '--[a-z][a-z-]*' | sort -u)" -- "$cur"))
    elif [ $COMP_CWORD -eq 1 ]; then
        COMPREPLY=($(compgen -W "$(nbdkit-replicate --help | sed -nE 's/^  ([a-z]+)  .*/\1/p')" -- "$cur"))
    elif [[ $prev == --from || $prev == --to ]]; then
        COMPREPLY=($(compgen -W "$(ls "$(nbdkit --dump-config | sed -n 's/^plugindir=//p')" |
            sed -n 's/^nbdkit-\(.*\)-plugin\..*/\1/p')" -- "$cur"))
    elif [[ $prev == --client ]]; then
        COMPREPLY=($(compgen -W "nbdcopy qemu-img pull" -- "$cur"))
    elif [[ $option == --from || $option == --to || $option == --also ]]; then
        COMPREPLY=($(compgen -W "$(_nbdkit_replicate_parameters "$option" "$module")" -- "$cur"))
        compopt -o nospace 2> /dev/null
    fi
}
complete -o default -F _nbdkit_replicate nbdkit-replicate
