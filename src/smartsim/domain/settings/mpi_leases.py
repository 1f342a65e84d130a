"""Leases in the words of the rank launchers of MPI.

Tried with Open MPI 4.1 and 5.0 and MPICH 5.0, on one machine and under Slurm; for Intel MPI from its manual.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from smartsim.domain.resources import Lease
from smartsim.domain.settings.launch_words import Change, common_rank_cpus, has, rank_cpus, value_of
from smartsim.domain.settings.mpi import MpiFlavour

BESIDE_OTHER_STEPS: Mapping[str, str] = {"SLURM_OVERLAP": "1"}
"""Under Slurm mpirun starts its daemons by srun, which would wait until all other steps have ended."""
HOST_FILES = ("--hostfile", "-hostfile", "--machinefile", "-machinefile", "-f", "--default-hostfile")

_COUNTS = ("-n", "--n", "-np", "--np")
_HOSTS = (("--host",), ("-host",), ("-H",), ("--hosts",), ("-hosts",))
_PER_NODE = (("--npernode",), ("-ppn",), ("-perhost",))
_PER_TASK = (("--cpus-per-proc",), ("--cpus-per-rank",))
_MAPPING = ("--map-by", "--rankfile", "--rank-by", "--cpu-set")
_BINDING = ("--bind-to", "-bind-to")
_PIN_DOMAIN = "I_MPI_PIN_DOMAIN"


def mpi_change(launch: Sequence[str], lease: Lease, flavour: MpiFlavour, file: str, *, binds: bool) -> Change:
    """Return how mpirun is told of a lease.

    Args:
        launch: its words, without the program that it starts.
        lease: of the step.
        flavour: whose mpirun it is.
        file: a path that a file may be written to; absolute, and seen by mpirun.
        binds: whether ranks are bound to the CPUs of the lease.
    """
    count = () if has(launch, *_COUNTS) else ("-n", str(lease.tasks))
    if flavour is MpiFlavour.INTEL:
        return _intel(count, lease, file, binds=binds)
    if flavour is MpiFlavour.MPICH:
        return _hydra(count, launch, lease, file, binds=binds)
    hosts = ("--host", ",".join(f"{share.node}:{share.tasks}" for share in lease.shares))
    # The scheduler may have told of fewer slots than there are CPUs, and what has a lease oversubscribes nothing.
    if flavour is MpiFlavour.OPEN_MPI:
        return _open_mpi((*count, *hosts, "--oversubscribe"), ("--rankfile", file), (), launch, lease, file, binds)
    ranks = ("--map-by", f"rankfile:file={file}:OVERSUBSCRIBE", "--bind-to", "core")
    return _open_mpi((*count, *hosts), ranks, ("--map-by", ":OVERSUBSCRIBE"), launch, lease, file, binds)


def _open_mpi(
    added: tuple[str, ...],
    bound: tuple[str, ...],
    unbound: tuple[str, ...],
    launch: Sequence[str],
    lease: Lease,
    file: str,
    binds: bool,
) -> Change:
    if has(launch, *_MAPPING):
        return Change(added, _HOSTS, BESIDE_OTHER_STEPS)
    replaced = (*_HOSTS, *_PER_NODE, *_PER_TASK)
    if has(launch, *_BINDING):
        return Change((*added, *unbound), replaced, BESIDE_OTHER_STEPS)
    if not binds:
        return Change((*added, *unbound, "--bind-to", "none"), replaced, BESIDE_OTHER_STEPS)
    ranks = ((share.node, cpus) for share in lease.shares for cpus in rank_cpus(share))
    lines = (f"rank {rank}={node} slot={','.join(map(str, cpus))}" for rank, (node, cpus) in enumerate(ranks))
    return Change((*added, *bound), replaced, BESIDE_OTHER_STEPS, {file: _text(lines)})


def _hydra(count: tuple[str, ...], launch: Sequence[str], lease: Lease, file: str, *, binds: bool) -> Change:
    # "core:2" asks for CPUs, which are what the lease has; "core" says what to do with them.
    binding = value_of(launch, *_BINDING)
    asks = binding is not None and ":" in binding
    lines = (
        f"{share.node}:{share.tasks}"
        + (
            f" binding=user:{','.join('+'.join(map(str, cpus)) for cpus in rank_cpus(share))}"
            if binds and (asks or binding is None)
            else ""
        )
        for share in lease.shares
    )
    replaced = (*_HOSTS, *_PER_NODE, *(((name,) for name in _BINDING) if asks else ()))
    return Change((*count, "-f", file), replaced, BESIDE_OTHER_STEPS, {file: _text(lines)})


def _intel(count: tuple[str, ...], lease: Lease, file: str, *, binds: bool) -> Change:
    # Without the first, it goes by what the scheduler says of the ranks on each node.
    environment = {"I_MPI_JOB_RESPECT_PROCESS_PLACEMENT": "off", **BESIDE_OTHER_STEPS}
    ranks = common_rank_cpus(lease) if binds else None
    if ranks is not None:
        environment[_PIN_DOMAIN] = f"[{','.join(f'{sum(1 << cpu for cpu in cpus):X}' for cpus in ranks)}]"
    else:  # one list of domains is for all nodes
        environment["I_MPI_PIN"] = "off"
    lines = (f"{share.node}:{share.tasks}" for share in lease.shares)
    replaced = (*_HOSTS, *_PER_NODE, ("-env", _PIN_DOMAIN))
    return Change((*count, "-machinefile", file), replaced, environment, {file: _text(lines)})


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
