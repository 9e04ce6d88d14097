#!/bin/sh
# Forced command of every key of the sandbox's Git server, as a code host has one: a deploy key
# reaches its own repository only, and writes there only if it may. The texts on standard error
# are those of GitHub, which clients match on.
#
# Arguments: the folder of the repositories, the repository of the key (owner/name, or "*" for a
# person's key), "read-only" or "read-write", the git program.
set -u
root=$1 repository=$2 access=$3 git=$4

refuse() {
    echo "ERROR: $1" >&2
    exit 1
}

request=${SSH_ORIGINAL_COMMAND-}
case $request in
    'git-upload-pack '* | 'git upload-pack '*) service=upload-pack ;;
    'git-receive-pack '* | 'git receive-pack '*) service=receive-pack ;;
    *) refuse "Only Git is served here: clone, fetch and push." ;;
esac

# git quotes the path; no name that needs quotes inside is accepted.
path=${request#*-pack }
path=${path#\'}
path=${path%\'}
path=${path#/}
path=${path%.git}
case $path in
    '' | /* | *..* | *[!A-Za-z0-9._/-]*) refuse "Repository not found." ;;
esac
[ "$repository" = '*' ] || [ "$repository" = "$path" ] || refuse "Repository not found."
[ -d "$root/$path.git" ] || refuse "Repository not found."
if [ $service = receive-pack ] && [ "$access" != read-write ]; then
    refuse "The key you are authenticating with has been marked as read only."
fi

# The client may choose the protocol (GIT_PROTOCOL, see sshd_config), nothing else.
export HOME="$root" GIT_CONFIG_NOSYSTEM=1
exec "$git" "$service" "$root/$path.git"
