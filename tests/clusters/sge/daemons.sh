# What a Grid Engine cluster consists of; sourced.
PROGRAMS=/usr/lib/gridengine FILES=/usr/share/gridengine
export SGE_ROOT=${BASE:-} SGE_CELL=default SGE_QMASTER_PORT=6444 SGE_EXECD_PORT=6445
export SGE_ND=1 # the daemons stay in the foreground

check_packages() {
    need 'gridengine-master gridengine-exec gridengine-client iproute2 procps' \
        "$PROGRAMS/sge_qmaster" "$PROGRAMS/sge_execd" qsub ip pkill
    getent hosts "$(hostname)" >/dev/null || die "$(hostname), the name of this machine, is not in /etc/hosts"
}

start_services() {
    lay_out
    initialise &>"$BASE/log/initialise"
    start_controller
    configure &>"$BASE/log/configure"
}

lay_out() {
    local architecture common=$SGE_ROOT/default/common
    architecture=$("$FILES/util/arch")
    mkdir -p "$common" "$SGE_ROOT"/{bin,lib,utilbin} "$BASE"/private/{configuration,database} "$BASE"/spool/{master,nodes}
    mkdir "$BASE/spool/master/job_scripts"
    ln -s "$FILES/util" "$FILES/mpi" "$SGE_ROOT"
    ln -s "$PROGRAMS" "$SGE_ROOT/bin/$architecture"
    ln -s "$PROGRAMS" "$SGE_ROOT/lib/$architecture"
    ln -s "$PROGRAMS" "$SGE_ROOT/utilbin/$architecture"
    fill "$HERE/sge/bootstrap.in" "$common/bootstrap"
    echo "$CLUSTER-head" >"$common/act_qmaster"
    echo "$CLUSTER-login $LOGIN localhost" >"$common/host_aliases"
    {
        for variable in SGE_ROOT SGE_CELL SGE_QMASTER_PORT SGE_EXECD_PORT; do
            echo "export $variable=${!variable}"
        done
    } >"$BASE/env.sh"
}

initialise() {
    # Answers come at once; root may have jobs; the extra groups of jobs are none that another cluster looks for.
    sed -e "s#^\(execd_spool_dir *\).*#\1$BASE/spool/nodes#" -e 's#^\(mailer *\).*#\1/bin/true#' \
        -e 's#^\(min_[ug]id *\).*#\10#' -e 's#^\(gid_range *\).*#\164000-64999#' \
        -e 's#^\(load_report_time *\).*#\100:00:01#' -e 's#flush_time=00:00:15#flush_time=00:00:01#' \
        -e 's#^\(max_unheard *\).*#\100:01:00#' -e 's#^\(shell_start_mode *\).*#\1unix_behavior#' \
        "$FILES/default-configuration" >"$BASE/private/configuration/global"
    "$PROGRAMS/spoolinit" berkeleydb libspoolb "$BASE/private/database" init
    "$PROGRAMS/spooldefaults" configuration "$BASE/private/configuration/global"
    "$PROGRAMS/spooldefaults" complexes "$FILES/util/resources/centry"
    "$PROGRAMS/spooldefaults" usersets "$FILES/util/resources/usersets"
    "$PROGRAMS/spooldefaults" managers root
}

start_controller() {
    "$PROGRAMS/sge_qmaster" &>>"$BASE/log/qmaster.out" &
    controller=$!
    wait_for 30 qmaster qconf -sh
    wait_for_nodes
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
    wait_for 30 qmaster qconf -sh
    wait_for_nodes
}

# Once they are configured: they come back one by one, and until then nothing is started on them.
wait_for_nodes() {
    ! qconf -sq all.q &>/dev/null || wait_for 60 'the nodes' queues_are_up
}

configure() {
    local nodes node rule
    nodes=$(hosts | sed -n 's/.* \(.*-node.*\)/\1/p')
    for node in $nodes; do
        qconf -ah "$node"
        qconf -as "$node"
        qconf_file -Ae "$(sed "s/@NODE@/$node/" "$HERE/sge/host.in")"
    done
    qconf -ah "$CLUSTER-login"
    qconf -as "$CLUSTER-login"
    qconf_file -Ahgrp "group_name @allhosts"$'\n'"hostlist ${nodes//$'\n'/ }"
    # The names and rules that sites use.
    for rule in 'smp $pe_slots' 'mpi $round_robin' 'mpifill $fill_up' 'orte $round_robin'; do
        qconf_file -Ap "$(sed "s/@NAME@/${rule% *}/; s/@RULE@/${rule#* }/" "$HERE/sge/environment.in")"
    done
    qconf_file -Aq "$(qconf -sq | sed -e 's/^\(qname *\).*/\1all.q/' -e 's/^\(hostlist *\).*/\1@allhosts/' \
        -e 's/^\(slots *\).*/\14/' -e 's/^\(pe_list *\).*/\1smp mpi mpifill orte/' \
        -e 's/^\(load_thresholds *\).*/\1NONE/' -e "s#^\(tmpdir *\).*#\1$BASE/private/tmp#" \
        -e 's#^\(shell  *\).*#\1/bin/bash#' -e 's/^\(shell_start_mode *\).*/\1unix_behavior/')"
    qconf_file -Msconf "$(qconf -ssconf | sed -e 's/^\(schedule_interval *\).*/\10:0:1/' \
        -e 's/^\(flush_[a-z]*_sec *\).*/\11/' -e 's/^\(job_load_adjustments *\).*/\1NONE/')"
}

# qconf_file OPTION TEXT: what the option reads from a file.
qconf_file() {
    echo "$2" >"$BASE/private/qconf"
    qconf "$1" "$BASE/private/qconf"
}

start_daemon() {
    "$PROGRAMS/sge_execd" &
}

wait_until_ready() {
    wait_for 60 'the cluster' queues_are_up
}

# A queue of which the load is known and that is in no bad state, for each node.
queues_are_up() {
    (($(qstat -f | awk '/^all\.q@/ && $4 != "-NA-" && NF < 6' | wc -l) == NODES))
}
