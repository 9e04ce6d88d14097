# fish completion for kubectl-flux
function __kubectl_flux_candidates
    set -l words (commandline -opc)
    kubectl-flux __complete $words[2..-1] (commandline -ct) 2>/dev/null | string match -rv '^:[0-9]+$'
end
complete -c kubectl-flux -f -a '(__kubectl_flux_candidates)'
complete -c kubectl-flux -l kubeconfig -r -F
