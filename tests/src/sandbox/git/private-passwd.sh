# Runs sshd in a mount namespace of its own where a user "git" exists: /etc/passwd is ours there,
# and /run has the folder that sshd insists on. The machine itself sees none of this.
#
# Arguments: the passwd file, then the command.
set -eu
mount --bind "$1" /etc/passwd
shift
if ! [ -d /run/sshd ]; then
    mount -t tmpfs -o mode=0755 tmpfs /run
    mkdir -m 0755 /run/sshd
fi
exec "$@"
