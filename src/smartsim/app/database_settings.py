"""How the servers of a database are started: by which command, on which hosts, in which batch job."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from smartsim.app.logs import get_logger
from smartsim.domain.errors import SmartSimError
from smartsim.domain.launchers import check_allocation
from smartsim.domain.settings import values
from smartsim.domain.settings.run import RunSettings

if TYPE_CHECKING:
    from smartsim.domain.settings.batch import BatchSettings
    from smartsim.ports.process_runner import ProcessRunner

_RUN_COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    "slurm": ("srun", "mpirun", "mpiexec"),
    "pbs": ("aprun", "mpirun", "mpiexec"),
    "pals": ("mpiexec",),
    "lsf": ("jsrun", "mpirun", "mpiexec"),
    "sge": ("mpirun", "mpiexec", "orterun"),
    "cobalt": ("aprun", "mpirun", "mpiexec"),
    "flux": ("flux",),
    "dragon": (),
}
"""What may start the servers under a launcher; nothing does under the local one."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RESERVED_RUN_ARGS: Final[Mapping[str, frozenset[str]]] = {
    "srun": _names("nodes N ntasks n ntasks-per-node output o error e job-name J jobid multi-prog w chdir D"),
    "aprun": _names("pes n pes-per-node N l pes-per-numa-node S wdir"),
    "mpirun": _names("np N c output-filename n wdir wd host"),
    "pals": _names("np N c output-filename n wdir wd host"),
    "jsrun": _names(
        "chdir h stdio_stdout o stdio_stderr k tasks_per_rs a np p cpu_per_rs c gpu_per_rs g latency_priority l "
        "memory_per_rs m nrs n rs_per_host r rs_per_socket K appfile f allocate_only A launch_node_task H "
        "use_reservation J use_resources bind b launch_distribution d"
    ),
}
"""Options by which servers are placed and told apart: not for users to set."""

_RESERVED_BATCH_ARGS: Final[Mapping[str, frozenset[str]]] = {
    "slurm": _RESERVED_RUN_ARGS["srun"],
    "pbs": _names("e o N l"),
    "lsf": _names("J o e m n nnodes"),
}


class LocalServers:
    """Servers that are child processes of the driver: there is nothing to be said of them."""

    batch_settings: BatchSettings | None = None
    run_command = ""
    keeps_cpus = False

    def __init__(self, *, batch: bool, run_command: str) -> None:
        if batch:
            raise SmartSimError("Local orchestrator can not be launched with batch=True: leave it out")
        if run_command not in ("auto", ""):
            raise SmartSimError(
                f"Run command {run_command} is not supported on launcher local: use run_command='auto', or leave it out"
            )

    def check(self, name: str, environment: Collection[str]) -> None:
        """Do nothing: there is always this machine."""

    def shard(self, argv: Sequence[str], index: int, nodes: Sequence[str]) -> RunSettings:
        """Return how a server is started.

        Args:
            argv: its command.
            index: counts the servers from 0.
            nodes: the names of those of the allocation that the driver runs in.
        """
        del index, nodes
        return RunSettings(argv[0], list(argv[1:]))

    def set_cpus(self, num_cpus: int) -> None:
        """Say that it has no effect."""
        self._not_honoured(f"{num_cpus} CPUs")

    def set_run_arg(self, arg: str, value: str | None) -> None:
        """Say that it has no effect."""
        self._not_honoured(f"run argument {arg}={value}")

    def set_hosts(self, hosts: Sequence[str]) -> None:
        """Say that it has no effect."""
        self._not_honoured(f"hosts {', '.join(hosts)}")

    def _not_honoured(self, what: str) -> None:
        get_logger(__name__).warning(f"{what} specification not implemented for this launcher: local")


class ScheduledServers:
    """Servers that are steps of an allocation, or of a batch job.

    Args:
        launcher: its name.
        run_command: what starts the servers; "auto" for the first one that is there.
        servers: how many.
        batch: whether they run in a job of their own.
        hosts: where they run, one after the other; none leaves it to the launcher.
        alloc: an allocation that the driver does not run in.
        batch_options: `time`, `queue`, `account` and more for the batch job.
        processes: finds programs.

    Attributes:
        keeps_cpus: whether each server has CPUs that no step of the allocation gets. Without them a server shares those
            of its node: a step that needs all of them would wait for its end.

    Raises:
        SmartSimError: the launcher does not know the run command.
    """

    keeps_cpus = False

    def __init__(
        self,
        launcher: str,
        run_command: str,
        servers: int,
        *,
        batch: bool,
        hosts: Sequence[str],
        alloc: str | None,
        batch_options: Mapping[str, Any],
        processes: ProcessRunner | None,
    ) -> None:
        from smartsim.adapters.process.subprocess import SubprocessRunner
        from smartsim.app.batch_settings import create_batch_settings
        from smartsim.app.run_settings import available_run_command, create_run_settings

        allowed = _RUN_COMMANDS[launcher]
        if run_command not in ("auto", "") and run_command.rpartition("/")[2] not in allowed:
            raise SmartSimError(
                f"Run command {run_command} is not supported on launcher {launcher}: "
                f"choose among {', '.join(allowed) or 'none'}, or leave it out"
            )
        options: dict[str, Any] = {"alloc": alloc} if alloc is not None else {}
        if run_command in ("auto", ""):
            run_command = available_run_command(launcher, processes or SubprocessRunner())
        # A job runs its script on one of its nodes, and so a single server. Without the others, too, a database may be
        # taken over.
        self._lacks = () if run_command or (batch and servers == 1) else allowed
        # The program is what the database server says when it starts; this one only has to be there.
        self._run = create_run_settings(launcher, "true", run_command=run_command, processes=processes, **options)
        self.run_command = self._run.run_command or ""
        for setting in ("nodes", "tasks"):
            if setting in self._run.options:
                getattr(self._run, f"set_{setting}")(1)
        self._launcher = launcher
        self._servers = servers
        self.batch_settings = (
            create_batch_settings(launcher, nodes=servers, processes=processes, **batch_options) if batch else None
        )
        self.set_hosts(hosts)

    def shard(self, argv: Sequence[str], index: int, nodes: Sequence[str]) -> RunSettings:
        """Return how a server is started.

        Args:
            argv: its command.
            index: counts the servers from 0.
            nodes: the names of those of the allocation that the driver runs in.
        """
        settings = self._run.copy()
        settings.exe, settings.exe_args = [argv[0]], list(argv[1:])
        hosts = self._hosts or ([] if self.batch_settings is not None else list(nodes))
        if hosts and "hostlist" in settings.options:
            settings.set_hostlist([hosts[index % len(hosts)]])
        elif settings.ranks == "srun":
            settings.set("relative", str(index))  # the node of the job, counted from 0
        if self.batch_settings is not None and settings.ranks == "srun" and 0 < len(set(hosts)) < self._servers:
            settings.set("overlap")  # a node of the job may have one CPU, which the first server there would keep
        return settings

    def check(self, name: str, environment: Collection[str]) -> None:
        """See that there are nodes to run on.

        Args:
            name: of the database.
            environment: the names of the driver's variables.

        Raises:
            AllocationError: the driver is in no allocation, and there is no batch job.
            SmartSimError: there is nothing that could start the servers there.
        """
        if self._lacks:
            raise SmartSimError(
                f"The {self._servers} server(s) of {name} have to be started on their nodes, and none of "
                f"{', '.join(self._lacks)} is in PATH: load the module that has it, or pass run_command. A single "
                "server in a batch job (db_nodes=1, batch=True) needs none"
            )
        if self.batch_settings is None:
            check_allocation(name, self._run, self._launcher, environment)

    def set_cpus(self, num_cpus: int) -> None:
        """Have every server get so many CPUs of its node for itself."""
        self._run.set_cpus_per_task(num_cpus)
        self.keeps_cpus = True

    def set_run_arg(self, arg: str, value: str | None) -> None:
        """Set an option of the run command; one that is ours to set is left as it is, with a warning."""
        name = values.text("arg", arg).strip().lstrip("-")
        if name in _RESERVED_RUN_ARGS.get(self._run.ranks, ()):
            get_logger(__name__).warning(f"Can not set run argument {name}: it is a reserved keyword in Orchestrator")
        else:
            self._run.set(arg, value)

    def set_hosts(self, hosts: Sequence[str]) -> None:
        """Have the servers run on some hosts, one after the other."""
        self._hosts = list(hosts)
        if self.batch_settings is not None and hosts:
            used = list(dict.fromkeys(hosts[index % len(hosts)] for index in range(self._servers)))
            self.batch_settings.set_hostlist(used)
            self.batch_settings.set_nodes(len(used))


def set_batch_arg(settings: BatchSettings, arg: str, value: str | None) -> None:
    """Set an option of a database's batch job; one that is ours to set is left as it is, with a warning."""
    name = values.text("arg", arg).strip().lstrip("-")
    if name in _RESERVED_BATCH_ARGS.get(settings.scheduler, ()):
        get_logger(__name__).warning(f"Can not set batch argument {name}: it is a reserved keyword in Orchestrator")
    else:
        settings.batch_args[name] = value
