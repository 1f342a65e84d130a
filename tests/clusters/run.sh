#!/bin/bash
# Run a real cluster of four nodes on this machine until standard input ends; see README.md beside this file.
#
#     tests/clusters/run.sh slurm|sge DIRECTORY
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
KIND=${1:-}
export HERE KIND PATH=/usr/sbin:/usr/bin:/sbin:/bin
. "$HERE/common.sh"
[[ $# == 2 && -r $HERE/$KIND/daemons.sh ]] || die "usage: run.sh slurm|sge DIRECTORY"
. "$HERE/$KIND/daemons.sh"

if [[ ${STAGE:-} != "2 of $$" ]]; then
    check_packages
    ((EUID == 0)) || die "only root may make the network of a cluster"
    mkdir -p "$2"/{etc,log,private}
    BASE=$(cd "$2" && pwd -P)
    ((${#BASE} < 80)) || die "$BASE is too long: the name of a Unix socket in it may have 107 characters"
    unshare --net --mount --pid --fork true ||
        die "this machine permits no namespaces; a container needs the capabilities SYS_ADMIN and NET_ADMIN for them"
    # What is mounted from here on is mounted for the cluster alone.
    export BASE STAGE="2 of $$"
    exec unshare --mount -- "${BASH_SOURCE[0]}" "$@"
fi

# Take the first network that nobody has. Only one can make the interface of that name.
claim_network() {
    local number
    for number in {1..250}; do
        NET=10.213.$number INTERFACE=testnet$number
        [[ -z $(ip -4 route show root "$NET.0/24") ]] || continue
        if ip link add "$INTERFACE" type veth peer name eth0 netns head 2>"$BASE/log/network"; then
            CLUSTER=$KIND$number
            return
        fi
    done
    die "no free network among 10.213.1 to 10.213.250: $(<"$BASE/log/network")"
}

# update_hosts LINES: add to /etc/hosts, and remove what belongs to networks that are no more: one may have been killed.
update_hosts() {
    local interface lock
    exec {lock}</etc/hosts
    flock --timeout 60 "$lock"
    sed '$a\' /etc/hosts >"$BASE/private/hosts" # with an end of its last line
    for interface in $(sed -n 's/.* # test cluster \(testnet[0-9]*\)$/\1/p' /etc/hosts | sort -u); do
        ip link show "$interface" &>/dev/null || sed -i "/ # test cluster $interface\$/d" "$BASE/private/hosts"
    done
    printf '%s' "$1" >>"$BASE/private/hosts"
    cat "$BASE/private/hosts" >/etc/hosts # the same file: in a container it is mounted
    exec {lock}<&-
}

end() {
    trap '' INT TERM
    set +e
    if [[ -n $head ]]; then
        pkill -KILL --parent "$head" # the first process of the cluster, and with it all others
        wait "$head"
    fi
    ip link delete "$INTERFACE"
    update_hosts ""
}

mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
mount -t tmpfs -o mode=755 tmpfs "$BASE/private"
mkdir "$BASE/private/tmp"
ip netns add head
claim_network
head=
trap end EXIT
trap exit INT TERM
ip address add "$NET.254/24" dev "$INTERFACE"
ip link set "$INTERFACE" up
update_hosts "$(hosts | sed "s/\$/ # test cluster $INTERFACE/")"$'\n'

export NET CLUSTER
LOGIN=$(hostname -s)
export LOGIN
# When this script is killed, so is the head, and with its first process all the others.
setpriv --pdeathsig KILL ip netns exec head unshare --uts --pid --fork --mount-proc --kill-child "$HERE/head.sh" <&0 &
head=$!
failed=
wait "$head" || failed=$?
head=
[[ -z $failed ]] || die "the cluster has failed ($failed):
$(tail -n 3 "$BASE"/log/*)"
