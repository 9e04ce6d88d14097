# Ends the processes of a sandbox when the process that owns the sandbox is gone, however it
# went. Standard input is a pipe that only the owner holds: it carries one "PID START" line for
# each process, then either "done" (the owner has stopped everything itself) or just its end.
#
# Arguments: the sandbox's folder, its state record, and "temporary" if the folder goes too.
set -u
dir=$1
record=$2
kind=$3

processes=
while read -r pid start; do
    [ "$pid" = done ] && exit 0
    processes="$processes $pid:$start"
done

# Field 22 of stat, counted from the end of the name, says when the process started.
runs() {
    stat=$(cat "/proc/${1%:*}/stat" 2>/dev/null) || return 1
    set -- "${1#*:}" ${stat##*) }
    [ "$2" != Z ] && [ "${21}" = "$1" ]
}

signal() {
    found=1
    for process in $processes; do
        if runs "$process"; then
            # "-s" because some shells take no "--" after "-TERM".
            kill -s "$1" -- "-${process%:*}" 2>/dev/null
            found=0
        fi
    done
    return $found
}

# Three seconds for those that clean up, then no mercy.
tries=30
signal TERM
while [ $tries -gt 0 ] && signal 0; do
    tries=$((tries - 1))
    sleep 0.1
done
tries=50
while [ $tries -gt 0 ] && signal KILL; do
    tries=$((tries - 1))
    sleep 0.1
done

# The control groups of a node, which is named after the record; there are none without a node.
id=${record##*/}
for group in /sys/fs/cgroup/flux-sandbox-"${id%.json}" /sys/fs/cgroup/*/flux-sandbox-"${id%.json}"; do
    [ -d "$group" ] && find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
done

if [ "$kind" = temporary ] && [ -e "$dir/.flux-sandbox" ]; then
    rm -rf -- "$dir"
fi
rm -f -- "$record"
