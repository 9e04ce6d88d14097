# Runs a command in a mount namespace of its own where a user "git" exists: /etc/passwd is ours
# there, and for root's sshd /run has the folder it insists on. The machine sees none of this.
#
# Arguments: the passwd file, "root" or "user", then the command.
set -eu
mount --bind "$1" /etc/passwd
if [ "$2" = root ] && ! [ -d /run/sshd ]; then
    mount -t tmpfs -o mode=0755 tmpfs /run
    mkdir -m 0755 /run/sshd
fi
shift 2
exec "$@"
