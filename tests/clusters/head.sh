#!/bin/bash
# The first process of a cluster, in namespaces of its own: makes its nodes and obeys the lines of standard input.
set -euo pipefail
. "$HERE/common.sh"
. "$HERE/$KIND/daemons.sh"

make_head() {
    hostname "$CLUSTER-head"
    {
        echo "127.0.0.1 localhost"
        hosts | sed "s/-login\$/& $LOGIN/" # from a node, the name of this machine does not lead to the node itself
    } >"$BASE/etc/hosts"
    mount --bind "$BASE/etc/hosts" /etc/hosts
    ip link set lo up
    ip link add switch type bridge
    ip address add "$NET.253/24" dev switch
    ip link set switch up
    ip link set eth0 master switch up
}

# A host with a network, processes, shared memory, a name and a boot id of its own.
start_node() {
    local name=$CLUSTER-node$1
    ip netns add "$name"
    ip link add "port$1" type veth peer name eth0 netns "$name"
    ip link set "port$1" master switch up
    ip -n "$name" address add "$NET.$1/24" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$name" link set lo up
    ip netns exec "$name" unshare --uts --pid --fork --mount-proc --kill-child \
        "$HERE/node.sh" "$name" </dev/null &>"$BASE/log/$name.out" &
}

exec {answers}>&1 >&2 # whatever the programs below have to say is no answer
make_head
start_services
for ((number = 1; number <= NODES; number++)); do
    start_node "$number"
done
wait_until_ready
echo ready >&"$answers"
while read -r command; do
    "$command"
    echo "done" >&"$answers"
done
