"""The composition root: which adapters an experiment works with.

A platform that embeds experiments, and a test that wants no processes, hand in adapters of their own::

    from dataclasses import replace
    from smartsim import Experiment
    from smartsim.embedding import system_adapters

    adapters = replace(system_adapters("local", exp_path), workload_manager=OurScheduler())
    exp = Experiment("study", exp_path, adapters=adapters)
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.control.unix import UnixControlChannel
from smartsim.adapters.database.valkey import ValkeyServer
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.network.system import SystemNetwork
from smartsim.adapters.process.gpus import NvidiaGpus
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.process.usage import ProcMeter
from smartsim.app.exporting import system_export
from smartsim.app.ml_uploads import connect
from smartsim.app.workload_managers import asking, job_meter, workload_manager
from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.launchers import LAUNCHERS

if TYPE_CHECKING:
    from smartsim.ports.clock import Clock
    from smartsim.ports.connect import Connect
    from smartsim.ports.control_channel import ControlChannel
    from smartsim.ports.database_server import DatabaseServer
    from smartsim.ports.event_log import EventLog
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.job_meter import JobMeter
    from smartsim.ports.network import Network
    from smartsim.ports.process_meter import ProcessMeter
    from smartsim.ports.process_runner import ProcessRunner
    from smartsim.ports.telemetry_export import TelemetryExport
    from smartsim.ports.workload_manager import WorkloadManager

EVENTS_FILE = ".smartsim/events.jsonl"
METRICS_FILE = ".smartsim/metrics.jsonl"


@dataclass(frozen=True)
class Adapters:
    """Everything that an experiment asks of the world.

    Args:
        workload_manager: starts and stops steps.
        database_server: renders and administers shards.
        files: generates and launches into it.
        event_log: takes the record of what happened.
        clock: tells the time, and waits.
        network: has interfaces and ports.
        processes: finds programs.
        connect: connects to databases, to put models and scripts there.
        control: brings requests of those who look at the experiment.
        metrics_log: takes samples of what runs.
        meter: looks at processes of this machine.
        telemetry_export: takes telemetry beside the record; None for nowhere.
        nodes: the names of those that the driver's own job has for steps; none outside of a job.
        job_meter: asks the scheduler what jobs use; None when nobody tells.
    """

    workload_manager: WorkloadManager
    database_server: DatabaseServer
    files: FileSystem
    event_log: EventLog
    clock: Clock
    network: Network
    processes: ProcessRunner
    connect: Connect
    control: ControlChannel
    metrics_log: EventLog
    meter: ProcessMeter
    nodes: Sequence[str] = ()
    telemetry_export: TelemetryExport | None = None
    job_meter: JobMeter | None = None


def system_adapters(launcher: str, exp_path: str) -> Adapters:
    """Return the real adapters.

    Args:
        launcher: the name of the launcher.
        exp_path: the directory of the experiment; absolute.

    Raises:
        SSUnsupportedError: there is no such launcher, or not in this version.
    """
    if launcher not in LAUNCHERS:
        raise SSUnsupportedError(f"Launcher type not supported: {launcher}. Choose among {', '.join(LAUNCHERS)}, auto")
    files, clock, network, processes = PosixFileSystem(), SystemClock(), SystemNetwork(), SubprocessRunner()
    scheduler = asking(launcher, processes, clock)
    manager, nodes = workload_manager(launcher, files, clock, scheduler, os.environ, network.hostname(), exp_path)
    return Adapters(
        workload_manager=manager,
        database_server=ValkeyServer(),
        files=files,
        event_log=JsonlEventLog(posixpath.join(exp_path, EVENTS_FILE)),
        clock=clock,
        network=network,
        processes=processes,
        connect=connect,
        control=UnixControlChannel(),
        metrics_log=JsonlEventLog(posixpath.join(exp_path, METRICS_FILE)),
        meter=ProcMeter(NvidiaGpus.find(processes)),
        nodes=nodes,
        telemetry_export=system_export(os.environ),
        job_meter=job_meter(launcher, scheduler, clock),
    )
