#compdef kubectl-flux
# zsh completion for kubectl-flux
_kubectl-flux() {
    local line directive=0
    local -a candidates
    for line in "${(@f)$(kubectl-flux __complete "${(@)words[2,CURRENT-1]}" "${words[CURRENT]}" 2>/dev/null)}"; do
        if [[ $line =~ '^:[0-9]+$' ]]; then
            directive=${line#:}
        elif [[ -n $line ]]; then
            local value=${line%%$'\t'*} description=""
            [[ $line == *$'\t'* ]] && description=${line#*$'\t'}
            candidates+=("${value//:/\\:}:${description}")
        fi
    done
    if (( ${#candidates} )); then
        if (( directive & 2 )); then
            _describe 'candidates' candidates -S ''
        else
            _describe 'candidates' candidates
        fi
    elif (( ! (directive & 4) )); then
        # What is replaced begins after the = of --flag=value.
        [[ ${words[CURRENT]} == --*=* ]] && compset -P 1 '*='
        _files
    fi
}
if [[ "${funcstack[1]}" == "_kubectl-flux" ]]; then
    _kubectl-flux "$@"
else
    compdef _kubectl-flux kubectl-flux
fi
