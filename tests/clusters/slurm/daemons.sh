# What a Slurm cluster consists of; sourced.
export SLURM_CONF=${BASE:-}/etc/slurm.conf

check_packages() {
    local packages='slurmctld slurmd slurm-client slurmdbd slurm-wlm-mysql-plugin munge'
    packages+=' mariadb-server-core mariadb-client-core iproute2 procps libpmix-dev'
    need "$packages" slurmctld slurmd srun slurmdbd munged mariadbd mariadb-install-db mariadb ip pkill
    # srun --mpi=pmix loads the file without a version.
    compgen -G '/usr/lib/*/pmix2/lib/libpmix.so' >/dev/null || need "$packages" libpmix.so
}

start_services() {
    configure
    start_munge
    start_accounting
    start_controller
}

configure() {
    fill "$HERE/slurm/slurm.conf.in" "$SLURM_CONF"
    (umask 077 && fill "$HERE/slurm/slurmdbd.conf.in" "$BASE/etc/slurmdbd.conf")
    echo 'CgroupPlugin=cgroup/v1' >"$BASE/etc/cgroup.conf" # loaded even where nothing uses it
    # Slurm gives a job the GPUs of which it finds devices: these are like /dev/null.
    mknod "$BASE/private/gpu0" c 1 3
    mknod "$BASE/private/gpu1" c 1 3
    echo "AutoDetect=off
Name=gpu Flags=nvidia_gpu_env File=$BASE/private/gpu[0-1]" >"$BASE/etc/gres.conf"
    echo "export SLURM_CONF=$SLURM_CONF" >"$BASE/env.sh"
}

start_munge() {
    (umask 077 && head -c 1024 /dev/urandom >"$BASE/private/munge.key")
    # --force: it dislikes directories in which others may write, as /tmp
    munged --foreground --force --key-file="$BASE/private/munge.key" --socket="$BASE/munge.socket" \
        --pid-file="$BASE/private/munged.pid" --seed-file="$BASE/private/munge.seed" \
        --log-file="$BASE/log/munged.log" &>"$BASE/log/munged.out" &
    wait_for 30 munged munge --socket="$BASE/munge.socket" --no-input
}

start_accounting() {
    mariadb-install-db --no-defaults --user=root --datadir="$BASE/private/mysql" --skip-test-db &>"$BASE/log/mariadb.out"
    # No passwords: it listens to nobody but the head.
    mariadbd --no-defaults --user=root --datadir="$BASE/private/mysql" --skip-grant-tables --bind-address=127.0.0.1 \
        --socket="$BASE/private/mariadb" --pid-file="$BASE/private/mariadb.pid" --innodb-buffer-pool-size=64M \
        --innodb-log-file-size=16M --innodb-lock-wait-timeout=900 --performance-schema=OFF \
        &>>"$BASE/log/mariadb.out" &
    wait_for 60 MariaDB mariadb --no-defaults --socket="$BASE/private/mariadb" --execute='select 1'
    slurmdbd -D &>"$BASE/log/slurmdbd.out" &
    wait_for 60 slurmdbd sacctmgr --immediate --quiet add cluster "$CLUSTER"
    sacctmgr --immediate --quiet add account testacct Cluster="$CLUSTER" >"$BASE/log/sacctmgr"
    sacctmgr --immediate --quiet add user root Account=testacct Cluster="$CLUSTER" >>"$BASE/log/sacctmgr"
}

start_controller() {
    slurmctld -D &>"$BASE/log/slurmctld.out" &
    controller=$!
    wait_for 30 slurmctld controller_answers
}

controller_answers() {
    [[ $(scontrol ping) == *' UP'* ]]
}

stop_controller() {
    kill "$controller"
    wait "$controller" || true
}

pause_controller() {
    kill -STOP "$controller"
}

continue_controller() {
    kill -CONT "$controller"
    wait_for 30 slurmctld controller_answers
}

start_daemon() {
    slurmd -D -N "$1" &
}

wait_until_ready() {
    wait_for 60 'the cluster' nodes_are_idle
}

nodes_are_idle() {
    (($(sinfo --noheader --Node --partition=debug --states=idle --format=%N | wc -l) == NODES))
}
