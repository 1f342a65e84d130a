# What the scripts of the clusters share; sourced.
NODES=4

die() {
    printf 'clusters: %s\n' "$*" >&2
    exit 1
}

# need PACKAGES COMMAND...: all the commands are there.
need() {
    local packages=$1 command missing=()
    shift
    for command in "$@"; do
        type -P "$command" >/dev/null || missing+=("$command")
    done
    ((${#missing[@]} == 0)) || die "no ${missing[*]}; on Debian: apt-get install --no-install-recommends $packages"
}

# wait_for SECONDS WHAT COMMAND...: the command succeeds in the end.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" &>/dev/null; do
        ((SECONDS < deadline)) || die "$what is not ready in time; see $BASE/log"
        sleep 0.05
    done
}

# All the hosts of the cluster with their addresses, as in /etc/hosts.
hosts() {
    local number
    for ((number = 1; number <= NODES; number++)); do
        echo "$NET.$number $CLUSTER-node$number"
    done
    printf '%s %s\n' "$NET.253" "$CLUSTER-head" "$NET.254" "$CLUSTER-login"
}

# fill TEMPLATE FILE: write the template with the values of the variables that it names.
fill() {
    sed -e "s#@BASE@#$BASE#g; s#@CLUSTER@#$CLUSTER#g; s#@NET@#$NET#g" "$1" >"$2"
}
