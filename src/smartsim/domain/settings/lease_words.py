"""Leases in the words of what starts ranks, so that a step runs on what it was given and on nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from smartsim.domain.errors import AllocationError
from smartsim.domain.resources import Lease, Node, ResourceRequest
from smartsim.domain.settings.launch_words import Change, common_rank_cpus, has, rank_cpus, without
from smartsim.domain.settings.mpi import MpiFlavour
from smartsim.domain.settings.mpi_leases import BESIDE_OTHER_STEPS, HOST_FILES, mpi_change
from smartsim.domain.steps import Step

_ALLOCATION = "--jobid"
_ELSEWHERE = {
    "srun": ("--nodefile", "-F", "--relative", "-r", _ALLOCATION),
    "mpirun": HOST_FILES,
    "pals": ("--hostfile",),
    "aprun": ("--node-list-file", "-l"),
}
"""Options that name nodes in a way that is not known here."""
_SRUN_SHARING = ("--exact", "--exclusive", "--overlap")
_SRUN_GPUS = ("--gres", "--gpus", "-G", "--gpus-per-node", "--gpus-per-task", "--gpus-per-socket", "--tres-per-task")
_SRUN_MEMORY = ("--mem", "--mem-per-cpu", "--mem-per-gpu")
_JSRUN_SETS = ("nrs", "n", "np", "p", "tasks_per_rs", "a", "cpu_per_rs", "c", "gpu_per_rs", "g", "rs_per_host", "r")
_ERF = ("--erf_input", "-U")
_FLUX_PER_NODE = ("--tasks-per-node", "--gpus-per-node", "--tasks-per-core", "--cores")
_GPUS = "CUDA_VISIBLE_DEVICES"
_NID = re.compile("nid0*([0-9]+)", re.ASCII)


def needs(step: Step, here: str) -> ResourceRequest | None:
    """Return what a step needs of an allocation, given how its ranks are started.

    Args:
        step: which may ask for something.
        here: the name of the node that the driver runs on.

    Returns:
        None when it is not placed: it asks for nothing, or names its nodes in a way that only its run command knows.

    Raises:
        AllocationError: it cannot run where it asks to.
    """
    request = step.request
    if request is None or has(step.launch, *_ELSEWHERE.get(step.ranks, ())):
        return None
    if request.hosts and not request.nodes:  # a run command uses all the hosts that it is given, if it can
        hosts = len(set(request.hosts))
        request = replace(request, nodes=min(hosts, request.tasks or hosts))
    if not step.ranks:  # a process of the driver
        if request.hosts and here not in request.hosts:
            raise AllocationError(
                f"Step {step.name} is to run on {', '.join(request.hosts)}, and without a run command it runs on the "
                f"driver's node, {here}: give it a run command, or other hosts"
            )
        return replace(request, nodes=1, hosts=(here,))
    if step.ranks == "aprun":  # one at a time has a node
        return replace(request, whole_nodes=True)
    if step.ranks == "srun" and not request.gpus_per_node and not has(step.launch, *_SRUN_GPUS):
        return replace(request, all_gpus=True)  # as srun has it
    return request


def unplaced(step: Step) -> Step:
    """Return a step without a lease as it is to be started: beside those that have one, and in nobody's way."""
    if step.ranks == "srun" and not has(step.launch, *_SRUN_SHARING, _ALLOCATION):
        return _changed(step, Change(("--overlap",)))
    if step.ranks == "mpirun":
        return _changed(step, Change(environment=BESIDE_OTHER_STEPS))
    return step


def placed(
    step: Step,
    request: ResourceRequest,
    lease: Lease,
    nodes: Sequence[Node],
    flavour: MpiFlavour | None = None,
    *,
    binds: bool = False,
) -> tuple[Step, Mapping[str, bytes]]:
    """Return a step as it is to be started on its lease, and the files that have to be there first, by absolute path.

    Args:
        step: as it was submitted.
        request: what it needed.
        lease: what it has.
        nodes: of the allocation, in the scheduler's order.
        flavour: whose mpirun it is that starts the ranks, if one does and it is known.
        binds: whether ranks are bound to the CPUs of the lease, since their numbers count what a rank is bound to:
            cores. srun, jsrun and flux keep steps apart on a node by themselves.

    Raises:
        AllocationError: what starts the ranks cannot do that.
    """
    file = f"{step.stdout.rpartition('/')[0]}/{step.name}.ranks"
    gpus = _gpus(request, lease)
    match step.ranks:
        case "":
            cpus = lease.shares[0].cpus if binds else ()
            return replace(_changed(step, Change(environment=gpus)), cpus=cpus), {}
        case "srun":
            change = _srun(step, request, lease, file)
        case "mpirun":
            if flavour is None:
                return unplaced(step), {}
            change = mpi_change(step.launch, _renumbered(lease, nodes), flavour, file, binds=binds)
            forwarded = [] if flavour.is_hydra else [word for name in gpus for word in ("-x", name)]
            change = replace(change, added=(*change.added, *forwarded), environment={**change.environment, **gpus})
        case "pals":
            change = _pals(step, _renumbered(lease, nodes), gpus, binds=binds)
        case "aprun":
            change = _aprun(step, request, lease, gpus)
        case "jsrun":
            change = _jsrun(step, _renumbered(lease, nodes), nodes, file)
        case "flux":
            change = _flux(step, request, lease)
        case _:
            change = Change()
    return _changed(step, change), change.files


def _changed(step: Step, change: Change) -> Step:
    """Return a step with other words behind the name of its run command; its own variables stay as they are."""
    command = 2 if step.ranks == "flux" else 1  # "flux run"
    launch = (*step.launch[:command], *change.added, *without(step.launch[command:], change.replaced))
    return replace(step, launch=launch, environment={**change.environment, **step.environment})


def _gpus(request: ResourceRequest, lease: Lease) -> dict[str, str]:
    """Return the variable that shows a program its GPUs; those of a whole node are seen without."""
    if not request.gpus_per_node or request.whole_nodes:
        return {}
    return {_GPUS: ",".join(map(str, lease.shares[0].gpus))}


def _missing(step: Step, *options: tuple[tuple[str, ...], str]) -> tuple[str, ...]:
    """Return the words for options that a run command has under none of their names: each with these and a value."""
    return tuple(f"{names[0]}={value}" for names, value in options if not has(step.launch, *names))


def _renumbered(lease: Lease, nodes: Sequence[Node]) -> Lease:
    """Return a lease with CPUs counted from 0 on each node: those of others are hidden from what starts the ranks."""
    cpus = {node.name: node.cpus for node in nodes}
    shares = (replace(share, cpus=tuple(map(cpus[share.node].index, share.cpus))) for share in lease.shares)
    return Lease(tuple(shares))


def _names(lease: Lease) -> str:
    return ",".join(share.node for share in lease.shares)


def _srun(step: Step, request: ResourceRequest, lease: Lease, file: str) -> Change:
    """Return how srun is told: of nodes and numbers. Which CPUs and GPUs these are is Slurm's to choose."""
    added = _missing(step, (("--nodes", "-N"), str(len(lease.shares))), (("--ntasks", "-n"), str(lease.tasks)))
    if not request.whole_nodes:
        added += () if has(step.launch, *_SRUN_SHARING) else ("--exact",)
        added += _missing(step, (("--cpus-per-task", "-c"), str(request.cpus_per_task)))
        if request.gpus_per_node:
            added += _missing(step, (_SRUN_GPUS, f"gpu:{request.gpus_per_node}"))
    # A step has all memory of its nodes, unless it says how much, and then others find none.
    added += () if has(step.launch, *_SRUN_MEMORY) else ("--mem=0",)
    replaced = (("--nodelist",), ("-w",), ("--ntasks-per-node",))
    if len({share.tasks for share in lease.shares}) == 1 or has(step.launch, "--distribution", "-m"):
        return Change((*added, f"--nodelist={_names(lease)}"), replaced)
    hosts = "".join(f"{share.node}\n" * share.tasks for share in lease.shares)
    return Change((*added, f"--nodelist={file}", "--distribution=arbitrary"), replaced, {}, {file: hosts.encode()})


def _pals(step: Step, lease: Lease, gpus: Mapping[str, str], *, binds: bool) -> Change:
    lease = _filled(lease, "mpiexec of PALS")
    added = ["--hosts", _names(lease), "--ppn", str(lease.shares[0].tasks)]
    added += [] if has(step.launch, "--np", "-n", "--n") else ["--np", str(lease.tasks)]
    if not has(step.launch, "--cpu-bind"):
        ranks = common_rank_cpus(lease) if binds else None  # one list is for all nodes
        listed = ":".join(",".join(map(str, cpus)) for cpus in ranks or ())
        added += ["--cpu-bind", f"list:{listed}" if listed else "none"]
    added += [word for name, value in gpus.items() for word in ("--env", f"{name}={value}")]
    return Change(tuple(added), (("--hosts",), ("--host",), ("--ppn",)), gpus)


def _aprun(step: Step, request: ResourceRequest, lease: Lease, gpus: Mapping[str, str]) -> Change:
    lease = _filled(lease, "aprun")
    names = ",".join(_NID.sub(r"\1", share.node) for share in lease.shares)
    added = [f"--node-list={names}", f"--pes-per-node={lease.shares[0].tasks}"]
    added += _missing(step, (("--pes", "-n"), str(lease.tasks)))
    if request.cpus_per_task > 1:
        added += _missing(step, (("--cpus-per-pe", "-d"), str(request.cpus_per_task)))
    added += [word for name, value in gpus.items() for word in ("-e", f"{name}={value}")]
    return Change(tuple(added), (("--node-list",), ("-L",), ("--pes-per-node",), ("-N",)), gpus)


def _filled(lease: Lease, program: str) -> Lease:
    """Return a lease with the nodes that have the most tasks first, for what fills one node after the other."""
    shares = sorted(lease.shares, key=lambda share: -share.tasks)
    if any(share.tasks < shares[0].tasks for share in shares[:-1]):
        tasks = "+".join(str(share.tasks) for share in shares)
        raise AllocationError(
            f"{program} fills one node after the other, so it cannot start {lease.tasks} tasks as {tasks} on "
            f"{len(shares)} nodes: choose a number of tasks that the nodes can share evenly"
        )
    return Lease(tuple(shares))


def _jsrun(step: Step, lease: Lease, nodes: Sequence[Node], file: str) -> Change:
    """Return how jsrun is told: by explicit resources, unless it has resource sets, which it keeps apart itself."""
    sets = [f"--{name}" if len(name) > 1 else f"-{name}" for name in _JSRUN_SETS]
    if has(step.launch, *sets, *_ERF):
        return Change()
    # Hosts are counted from 1: the first that LSF names is the one that the job's script runs on.
    numbers = {node.name: number for number, node in enumerate(nodes, 1)}
    lines = ["cpu_index_using: logical"]
    ranks = ((share, cpus) for share in lease.shares for cpus in rank_cpus(share))
    for rank, (share, cpus) in enumerate(ranks):
        gpus = f"; gpu: {{{','.join(map(str, share.gpus))}}}" if share.gpus else ""
        lines.append(f"rank: {rank}: {{ host: {numbers[share.node]}; cpu: {{{','.join(map(str, cpus))}}}{gpus} }}")
    return Change((f"--erf_input={file}",), (), {}, {file: "".join(f"{line}\n" for line in lines).encode()})


def _flux(step: Step, request: ResourceRequest, lease: Lease) -> Change:
    """Return how flux is told: on which nodes. It has its own plan of their CPUs and GPUs."""
    added = _missing(step, (("--requires",), f"host:{_names(lease)}"))
    if len({share.tasks for share in lease.shares}) == 1:
        added += _missing(step, (("--nodes", "-N"), str(len(lease.shares))))
    if not has(step.launch, *_FLUX_PER_NODE):  # it takes numbers either for nodes or for tasks
        added += _missing(
            step, (("--ntasks", "-n"), str(lease.tasks)), (("--cores-per-task", "-c"), str(request.cpus_per_task))
        )
    return Change(added)
