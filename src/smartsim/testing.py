"""Fakes of everything that an experiment asks of the world, for tests of driver scripts.

With `fake_adapters` an experiment runs in milliseconds, without processes, files or a server::

    from smartsim import Experiment
    from smartsim.testing import Script, fake_adapters

    def test_a_failing_member_is_reported():
        adapters = fake_adapters(lambda step: Script(duration=60, returncode=step.name.startswith("sweep_1")))
        exp = Experiment("study", "/virtual", adapters=adapters)
        ...

The fakes pass the same conformance suites as the real adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.control.in_memory import InMemoryControlChannel
from smartsim.adapters.database.in_memory import PROGRAM, InMemoryDatabaseServer
from smartsim.adapters.eventlog.in_memory import InMemoryEventLog
from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.network.virtual import VirtualNetwork
from smartsim.adapters.process.scripted import ScriptedProcessMeter, ScriptedProcessRunner
from smartsim.adapters.telemetry.in_memory import InMemoryTelemetryExport
from smartsim.adapters.wlm.scripted import Script, ScriptedJobMeter, ScriptedMachine, ScriptedWorkloadManager
from smartsim.app.bootstrap import Adapters
from smartsim.domain.steps import Step

if TYPE_CHECKING:
    from smartsim.adapters.ml.affine import AffineRuntime, AffineSerializer
    from smartsim.adapters.tensors.in_memory import AsyncInMemoryTensorStore, InMemoryTensorStore
    from smartsim.adapters.work.in_memory import InMemoryWorkSource
    from smartsim.domain.addresses import Address
    from smartsim.ports.database_server import Credentials
    from smartsim.ports.tensor_store import TensorStore

__all__ = [
    "AffineRuntime",
    "AffineSerializer",
    "AsyncInMemoryTensorStore",
    "InMemoryControlChannel",
    "InMemoryDatabaseServer",
    "InMemoryEventLog",
    "InMemoryFileSystem",
    "InMemoryTelemetryExport",
    "InMemoryTensorStore",
    "InMemoryWorkSource",
    "Script",
    "ScriptedJobMeter",
    "ScriptedMachine",
    "ScriptedProcessMeter",
    "ScriptedProcessRunner",
    "ScriptedWorkloadManager",
    "VirtualClock",
    "VirtualNetwork",
    "fake_adapters",
]


def fake_adapters(
    script: Callable[[Step], Script] = lambda _step: Script(), programs: Mapping[str, str] | None = None
) -> Adapters:
    """Return fakes that work together, on one virtual clock.

    Args:
        script: says what each model and member does; by default it ends well after a virtual second. Shards of
            databases run until they are stopped.
        programs: paths of executables by name; by default every name is found in `/bin`.
    """
    clock = VirtualClock()

    def play(step: Step) -> Script:
        return Script(duration=None) if step.argv[0] == PROGRAM else script(step)

    manager = ScriptedWorkloadManager(clock.call_later, clock, play)
    return Adapters(
        workload_manager=manager,
        database_server=InMemoryDatabaseServer(manager.runs, manager.end),
        files=InMemoryFileSystem(["/virtual"]),
        event_log=InMemoryEventLog(),
        clock=clock,
        network=VirtualNetwork(),
        processes=ScriptedProcessRunner(programs),
        connect=_InMemoryConnect(),
        control=InMemoryControlChannel(),
        metrics_log=InMemoryEventLog(),
        meter=ScriptedProcessMeter(),
    )


class _InMemoryConnect:
    """Connects to databases that hold what is put there, and run nothing. Whoever connects again finds the same."""

    def __init__(self) -> None:
        self._stores: dict[Sequence[Address], InMemoryTensorStore] = {}

    def __call__(self, addresses: Sequence[Address], credentials: Credentials) -> AbstractContextManager[TensorStore]:
        """Return the contents of a database; see `smartsim.embedding.Connect`."""
        from smartsim.adapters.tensors.in_memory import InMemoryTensorStore

        del credentials
        return nullcontext(self._stores.setdefault(tuple(addresses), InMemoryTensorStore()))


_LATE = {
    "AffineRuntime": "smartsim.adapters.ml.affine",
    "AffineSerializer": "smartsim.adapters.ml.affine",
    "AsyncInMemoryTensorStore": "smartsim.adapters.tensors.in_memory",
    "InMemoryTensorStore": "smartsim.adapters.tensors.in_memory",
    "InMemoryWorkSource": "smartsim.adapters.work.in_memory",
}


def __getattr__(name: str) -> Any:
    """Import what needs NumPy when it is asked for: tests of driver scripts do without it."""
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
