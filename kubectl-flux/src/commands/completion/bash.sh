# bash completion for kubectl-flux
_kubectl_flux() {
    local typed="${COMP_LINE:0:COMP_POINT}" word candidate line directive=0
    local -a words=() reply=()
    # COMP_WORDS is broken at = and :, the program wants the words as they were typed.
    read -ra words <<< "$typed"
    [[ $typed == *[[:space:]] ]] && words+=("")
    word="${words[-1]}"
    mapfile -t reply < <(kubectl-flux __complete "${words[@]:1}" 2>/dev/null)
    COMPREPLY=()
    for line in "${reply[@]}"; do
        if [[ $line =~ ^:[0-9]+$ ]]; then
            directive=${line#:}
            continue
        fi
        candidate="${line%%$'\t'*}"
        # What is replaced begins after the = of --flag=value.
        if [[ $word == --*=* && $COMP_WORDBREAKS == *=* ]]; then
            candidate="${candidate#*=}"
        fi
        COMPREPLY+=("$candidate")
    done
    if (( ! (directive & 4) )) && [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${word#*=}")
    fi
}
complete -F _kubectl_flux kubectl-flux
