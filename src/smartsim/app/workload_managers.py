"""What a launcher runs steps with."""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.app.logs import get_logger
from smartsim.domain.errors import LauncherError, SSUnsupportedError
from smartsim.domain.resources import Node

if TYPE_CHECKING:
    from smartsim.adapters.wlm.job_meter import FindTargets, TellsUsage
    from smartsim.adapters.wlm.scheduler import Scheduler
    from smartsim.domain.steps import Batch, Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.job_meter import JobMeter
    from smartsim.ports.process_runner import ProcessRunner
    from smartsim.ports.workload_manager import WorkloadManager

_DRAGON_HOSTS = ("slurm", "pbs")  # the schedulers in whose allocations Dragon finds its nodes
_PBS = ("pbs", "pals")  # launchers on the same scheduler
_DRAGON_MEMBER = (sys.executable, "-P", "-m", "smartsim.app.dragon_member")


def workload_manager(
    launcher: str,
    files: FileSystem,
    clock: Clock,
    processes: ProcessRunner,
    environment: Mapping[str, str],
    host: str,
    exp_path: str,
) -> tuple[WorkloadManager, tuple[str, ...]]:
    """Return what runs the steps of a launcher, and the names of the nodes that the driver's own job has for them.

    Args:
        launcher: its name.
        files: where steps write.
        clock: tells the time, and waits.
        processes: runs the programs of schedulers.
        environment: the variables of this process.
        host: the name of this machine.
        exp_path: the directory of the experiment; absolute.

    Raises:
        SSUnsupportedError: there is no such launcher in this version.
    """
    children: WorkloadManager = LocalWorkloadManager()
    if launcher == "local":
        return children, ()
    # Only what is needed is imported: most experiments run on one launcher, or none.
    from smartsim.adapters.wlm.batch_jobs import BatchJobs
    from smartsim.adapters.wlm.placing import PlacingWorkloadManager
    from smartsim.adapters.wlm.scheduled import ScheduledWorkloadManager

    log = get_logger(__name__).log
    if launcher == "dragon":
        from smartsim.adapters.wlm.dragon.jobs import DragonJobs

        manager, names = dragon_manager(files, clock, processes, environment, host, exp_path)
        in_jobs = DragonJobs(lambda name: BatchJobs(_scheduler(name), processes, files, clock, log), _DRAGON_MEMBER)
        return ScheduledWorkloadManager(manager, in_jobs), names
    terminate_steps = None
    if launcher == "slurm":
        from smartsim.adapters.wlm.slurm_steps import SrunSteps
        from smartsim.adapters.wlm.srun import signal_steps

        terminate_steps = partial(signal_steps, processes, signal="TERM")
        allocation = environment.get("SLURM_JOB_ID", environment.get("SLURM_JOBID", ""))
        children = SrunSteps(children, processes, clock, log, allocation)
    jobs = BatchJobs(_scheduler(launcher), processes, files, clock, log, terminate_steps)
    nodes = _nodes(launcher, environment, processes)
    if nodes:
        import psutil

        from smartsim.app.rank_settings import flavour_of

        children = PlacingWorkloadManager(
            children,
            nodes,
            host,
            files,
            clock,
            lambda program: flavour_of(program, processes),
            binds=numbers_are_cores(nodes, host, psutil.cpu_count(logical=False) or 0),
            # Slurm takes nodes that fail out of a job; of other schedulers it is not known.
            remaining=partial(_remaining, environment, processes) if launcher == "slurm" else None,
        )
    return ScheduledWorkloadManager(children, jobs), tuple(node.name for node in nodes)


def asking(launcher: str, processes: ProcessRunner, clock: Clock) -> ProcessRunner:
    """Return what runs the programs of a launcher's scheduler for all parts of a driver.

    What PBS is asked about jobs tells what they use, too: one command tells both.

    Args:
        launcher: its name.
        processes: runs programs.
        clock: tells the time.
    """
    if launcher not in _PBS:
        return processes
    from smartsim.adapters.wlm.overheard import Overheard
    from smartsim.adapters.wlm.pbs import Pbs

    return Overheard(processes, clock, Pbs().query(()))


def job_meter(launcher: str, processes: ProcessRunner, clock: Clock) -> JobMeter | None:
    """Return what asks the scheduler of a launcher what jobs use; None for those of which it is not known how.

    Args:
        launcher: its name.
        processes: runs the programs of schedulers, as `asking` returns it.
        clock: tells the time.
    """
    if launcher not in ("slurm", "sge", *_PBS):
        return None
    from smartsim.adapters.wlm.job_meter import OwnJobs, SchedulerJobMeter
    from smartsim.adapters.wlm.overheard import Listener, Overheard

    scheduler: TellsUsage
    targets: FindTargets = OwnJobs()
    match launcher:
        case "slurm":
            from smartsim.adapters.wlm.slurm import Slurm
            from smartsim.adapters.wlm.slurm_targets import SlurmTargets

            scheduler, targets = Slurm(), SlurmTargets()
        case "sge":
            from smartsim.adapters.wlm.sge import Sge

            scheduler = Sge()
        case _:
            from smartsim.adapters.wlm.pbs import Pbs

            scheduler = Pbs()
    runner = Listener(processes) if isinstance(processes, Overheard) else processes
    return SchedulerJobMeter(scheduler, targets, runner, clock, get_logger(__name__).log)


def dragon_manager(
    files: FileSystem,
    clock: Clock,
    processes: ProcessRunner,
    environment: Mapping[str, str],
    host: str,
    exp_path: str,
    *,
    leaves_steps: bool = True,
) -> tuple[WorkloadManager, tuple[str, ...]]:
    """Return what runs steps in a Dragon runtime, and the names of the nodes that it has of the driver's own job.

    Args:
        files: as for `workload_manager`; so the next ones.
        clock: tells the time, and waits.
        processes: runs the programs of schedulers.
        environment: the variables of this process.
        host: the name of this machine.
        exp_path: the directory of the experiment; absolute.
        leaves_steps: whether steps go on when this process has ended.

    Raises:
        ValueError: a variable of the environment is no number.
    """
    from smartsim.adapters.wlm.allocations.current import current_job, job_variable
    from smartsim.adapters.wlm.dragon.manager import DragonWorkloadManager
    from smartsim.adapters.wlm.dragon.runtime import Runtimes

    found = job_variable(environment)
    job = current_job(found[1], environment, processes) if found is not None and found[1] in _DRAGON_HOSTS else None
    nodes = () if job is None else tuple(job.hosts())
    shared = environment.get("SMARTSIM_DRAGON_SERVER_PATH", "").partition(":")[0]
    children = LocalWorkloadManager()
    runtimes = Runtimes(
        children,
        files,
        posixpath.abspath(shared or posixpath.join(exp_path, ".smartsim", "dragon")),
        host,
        nodes,
        transport=environment.get("SMARTSIM_DRAGON_TRANSPORT", "tcp"),
        timeout=_milliseconds(environment, "SMARTSIM_DRAGON_STARTUP_TIMEOUT", 300_000) / 1000,
    )
    log = get_logger(__name__).log
    manager = DragonWorkloadManager(children, runtimes, files, clock, host, log, leaves_steps=leaves_steps)
    return manager, nodes


def _milliseconds(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"{name} must be a number of milliseconds, not {text!r}")
    return int(text)


def script_text(launcher: str, batch: Batch, steps: Sequence[Step]) -> str:
    """Return the script of a batch job, as a launcher submits it.

    Args:
        launcher: its name.
        batch: the job.
        steps: what runs in it.

    Raises:
        LauncherError: the script cannot be written for this scheduler.
    """
    from smartsim.adapters.wlm.submission import script, single_element

    if launcher == "dragon":
        from smartsim.adapters.wlm.dragon.jobs import in_runtime, scheduler_of

        launcher = scheduler_of(batch)
        steps = [in_runtime(step, _DRAGON_MEMBER) for step in steps]
        batch = steps[0].batch or batch
    return script(single_element(batch, steps), steps, _scheduler(launcher))


def numbers_are_cores(nodes: Sequence[Node], host: str, cores: int) -> bool:
    """Return whether ranks of MPI can be bound by the numbers that a scheduler gives to CPUs.

    Schedulers may count hardware threads, programs of MPI count cores, and refuse a number that they do not have. That
    can be told where the driver runs on one of the nodes, the others of which are taken to be like it.

    Args:
        nodes: of the allocation.
        host: the name of this machine.
        cores: physical ones of this machine.

    Example:
        >>> numbers_are_cores([Node("n1", (0, 1)), Node("n2", (0, 1))], "n1", cores=2)
        True
    """
    here = {host, host.partition(".")[0]}
    return any(node.name in here for node in nodes) and all(max(node.cpus, default=0) < cores for node in nodes)


def _nodes(launcher: str, environment: Mapping[str, str], processes: ProcessRunner) -> tuple[Node, ...]:
    from smartsim.adapters.wlm.allocations.current import current_job, job_variable

    found = job_variable(environment)
    if found is None or found[1] != launcher.replace("pals", "pbs"):
        return ()
    job = current_job(launcher, environment, processes)
    try:
        return () if job is None else job.nodes()
    except LauncherError as error:
        get_logger(__name__).warning(
            f"What the nodes of this job have cannot be told: {error}. Steps are started at once, and may share CPUs"
        )
        return ()


def _remaining(environment: Mapping[str, str], processes: ProcessRunner) -> list[str]:
    from smartsim.adapters.wlm.allocations.current import allocation

    return [node.name for node in allocation(environment, processes) or ()]


def _scheduler(launcher: str) -> Scheduler:
    """Return what a launcher submits batch jobs to."""
    match launcher:
        case "slurm":
            from smartsim.adapters.wlm.slurm import Slurm

            return Slurm()
        case "pbs" | "pals":
            from smartsim.adapters.wlm.pbs import Pbs

            return Pbs()
        case "lsf":
            from smartsim.adapters.wlm.lsf import Lsf

            return Lsf()
        case "sge":
            from smartsim.adapters.wlm.sge import Sge

            return Sge()
        case "cobalt":
            from smartsim.adapters.wlm.cobalt import Cobalt

            return Cobalt()
        case "flux":
            from smartsim.adapters.wlm.flux import Flux

            return Flux()
        case _:
            raise SSUnsupportedError(f"Launcher {launcher} is not supported in this version yet: use launcher='local'")
