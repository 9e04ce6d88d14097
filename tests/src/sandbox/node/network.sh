# Sets up the network of a sandbox with a node, in network and mount namespaces of its own, and
# stays: both live as long as this process, and go with it. The machine sees none of it.
#
# Arguments: the file to bind over /etc/hosts, a file to create when all is ready.
# Environment: GATEWAY, NODE_PREFIX, SERVICE_CIDR, ADDRESSES.
set -eu
ip link set lo up
for address in $ADDRESSES; do
    ip address add "$address/32" dev lo
done
# The bridge of the CNI plugin, made here because its address is needed before the first pod.
ip link add cni0 type bridge
ip address add "$GATEWAY/$NODE_PREFIX" dev cni0
ip link set cni0 up
# kube-proxy rewrites the destination, but only of packets that have a route.
ip route add "$SERVICE_CIDR" dev cni0
echo 1 > /proc/sys/net/ipv4/ip_forward
mount --bind "$1" /etc/hosts
: > "$2"
exec sleep infinity
