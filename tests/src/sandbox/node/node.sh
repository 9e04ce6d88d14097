# The first process of the node's process namespace: when it ends, the kernel ends every other one
# in there, containers included, and their mounts go with the mount namespace.
#
# Arguments: a folder with files of kernel settings, the folder of the sandbox, a file to create
# when all is ready.
set -eu
# What the kubelet wants the kernel to do concerns the whole machine. It shall find it so, and
# write where nobody listens.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    if [ -e "/proc/sys/$setting" ]; then
        mount --bind "$1/${setting##*/}" "/proc/sys/$setting"
    fi
done
# Fixed places of containerd, the kubelet and iptables; on a machine that boots they are empty too.
for folder in /run /var/lib /var/log; do
    mount -t tmpfs -o mode=0755 tmpfs "$folder"
done
mkdir /run/lock /run/netns
[ -e "$2/.flux-sandbox" ] || {
    echo "$2 cannot be seen by the node: it must not be below /run, /var/lib or /var/log" >&2
    exit 1
}
: > "$3"
# Processes whose parents have ended become children of this one: wait for any of them.
while :; do
    sleep 3600 &
    wait
done
