# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# bash completion for sockseal(1)

_sockseal_settings='--ports --key-file --identity --suites --groups --timeout --connect-timeout --close-timeout --log --log-file
    --log-format --plaintext --removed-keys --keys-after-fork --keylog-file --strict --allow-unsealed-program --config --help'

# The identities of the key file that the command line or the environment names.
_sockseal_identities() {
    local i file=${SOCKSEAL_KEY_FILE-}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -k | --key-file) file=${COMP_WORDS[i + 1]} ;;
        esac
    done
    [ -r "${file/#\~/$HOME}" ] && sed -n 's/^[[:blank:]]*\([^#:][^:]*\):.*/\1/p' "${file/#\~/$HOME}"
}

# Completes the argument of the option before the cursor; false if that is none with an argument.
_sockseal_argument() {
    case $1 in
        -k | --key-file | -f | --config | --log-file | --keylog-file | -o | --output) COMPREPLY=($(compgen -f -- "$2")) ;;
        -i | --identity) COMPREPLY=($(compgen -W "$(_sockseal_identities)" -- "$2")) ;;
        -s | --suites) COMPREPLY=($(compgen -W 'aegis128x4 aegis128x2 aegis128l chacha20 aegis128l,chacha20' -- "$2")) ;;
        --groups) COMPREPLY=($(compgen -W 'x25519mlkem768 x25519 x25519mlkem768,x25519' -- "$2")) ;;
        -l | --log) COMPREPLY=($(compgen -W 'quiet error warn info debug' -- "$2")) ;;
        --log-format) COMPREPLY=($(compgen -W 'text json' -- "$2")) ;;
        --plaintext) COMPREPLY=($(compgen -W 'refuse accept' -- "$2")) ;;
        --removed-keys) COMPREPLY=($(compgen -W 'keep close' -- "$2")) ;;
        --keys-after-fork) COMPREPLY=($(compgen -W 'keep forget' -- "$2")) ;;
        -p | --ports | -t | --timeout | --connect-timeout | --close-timeout | -b | --bytes) COMPREPLY=() ;;
        *) return 1 ;;
    esac
}

# The index of the first word behind the verb's options: a program, an identity, a file.
_sockseal_first() {
    local i
    for ((i = $1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --) echo $((i + 1)); return ;;
            -p | -k | -i | -s | -t | -l | -f | -o | -b | --ports | --key-file | --identity | --suites | --groups | --timeout | \
                --connect-timeout | --close-timeout | --log | --log-file | --log-format | --plaintext | --removed-keys | --keys-after-fork | --keylog-file | --config | --output | --bytes) ((i++)) ;;
            -*) ;;
            *) echo "$i"; return ;;
        esac
    done
    echo "$i"
}

_sockseal() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=run from=1 first
    COMPREPLY=()
    case ${COMP_WORDS[1]} in
        run | shell | check | keygen | keys | ping | rotate | status) [ "$COMP_CWORD" -gt 1 ] && verb=${COMP_WORDS[1]} from=2 ;;
    esac
    first=$(_sockseal_first $from)
    if [ "$first" -lt "$COMP_CWORD" ] && [ "$verb" = run ]; then
        declare -F _command_offset >/dev/null && _command_offset "$first" || COMPREPLY=($(compgen -f -- "$word"))
        return
    fi
    _sockseal_argument "$before" "$word" && return
    case $verb,$word in
        keygen,-*) COMPREPLY=($(compgen -W '--output --append --bytes --pair --help' -- "$word")) ;;
        status,-*) COMPREPLY=($(compgen -W '--failures --watch --json --prometheus --output --help' -- "$word")) ;;
        status,*) COMPREPLY=($(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word")) ;;
        keys,-*) COMPREPLY=($(compgen -W '--help' -- "$word")) ;;
        rotate,-*) COMPREPLY=($(compgen -W '--take --finish --help' -- "$word")) ;;
        keys,* | rotate,*) COMPREPLY=($(compgen -f -- "$word")) ;;
        keygen,*) ;;
        ping,[!-]* | ping,) COMPREPLY=($(compgen -A hostname -- "$word")) ;;
        *,-*) COMPREPLY=($(compgen -W "$_sockseal_settings" -- "$word")) ;;
        *) COMPREPLY=($(compgen -c -- "$word")) ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] &&
        COMPREPLY+=($(compgen -W 'run shell check keygen keys ping rotate status --help --version' -- "$word"))
}

complete -o filenames -F _sockseal sockseal
