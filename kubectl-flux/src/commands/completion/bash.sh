# bash completion for kubectl-flux
_kubectl_flux() {
    local IFS=$'\n' word directive line
    local -a reply=()
    word="${COMP_WORDS[COMP_CWORD]}"
    # bash takes = and : for word breaks; the program gets the words as they were typed.
    mapfile -t reply < <(kubectl-flux __complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$word" 2>/dev/null)
    directive=0
    COMPREPLY=()
    for line in "${reply[@]}"; do
        if [[ $line =~ ^:[0-9]+$ ]]; then
            directive=${line#:}
        else
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done
    if (( directive & 2 )); then
        compopt -o nospace
    fi
    if (( ! (directive & 4) )) && [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _kubectl_flux kubectl-flux
