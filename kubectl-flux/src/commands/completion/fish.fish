# fish completion for kubectl-flux
function __kubectl_flux_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer (kubectl-flux __complete $words[2..-1] "$current" 2>/dev/null)
    set -l candidates (string match -rv '^:[0-9]+$' -- $answer)
    if test (count $candidates) -gt 0
        printf '%s\n' $candidates
        return
    end
    # :0 says that a file may be wanted, and 4 that none is.
    if string match -q ':0' -- $answer
        set -l flag (string match -r '^--[^=]*=' -- $current)
        set -l typed (string replace -r '^--[^=]*=' '' -- $current)
        for path in (__fish_complete_path "$typed")
            echo -- "$flag$path"
        end
    end
end
complete -c kubectl-flux -f -a '(__kubectl_flux_candidates)'
