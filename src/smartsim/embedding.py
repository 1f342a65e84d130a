"""For platforms that embed experiments: the seams, and the adapters that fill them.

`Experiment(..., adapters=...)` takes an `Adapters`. Start from `system_adapters` and replace what is yours; the
protocols say what each part must do, and `smartsim.testing` has fakes of all of them. Those of models and scripts are
for workers: what runs them (`ModelRuntime`, `ScriptRuntime`), where work comes from (`WorkSource`), and what turns a
model in memory into bytes (`ModelSerializer`).
"""

from smartsim.app.bootstrap import Adapters, system_adapters
from smartsim.domain.lifecycle import Ended, JobEvent, Queued, Refused, Resumed, Started, Suspended
from smartsim.domain.steps import Step
from smartsim.ports.clock import Clock
from smartsim.ports.connect import Connect
from smartsim.ports.control_channel import ControlChannel
from smartsim.ports.database_server import DatabaseServer
from smartsim.ports.event_log import EventLog, Record
from smartsim.ports.file_system import Entry, FileSystem, Kind, Part, Placing
from smartsim.ports.job_meter import JobMeter, RunningStep
from smartsim.ports.model_runtime import (
    LoadedModel,
    LoadedScript,
    ModelBlob,
    ModelRuntime,
    ModelRuntimeError,
    Parallelism,
    ScriptRuntime,
)
from smartsim.ports.model_serializer import ModelSerializer, SerializedModel
from smartsim.ports.network import Network
from smartsim.ports.process_meter import ProcessMeter, ProcessUsage
from smartsim.ports.process_runner import Completed, ProcessRunner
from smartsim.ports.telemetry_export import TelemetryExport
from smartsim.ports.tensor_store import TensorStore
from smartsim.ports.work_source import WorkSource
from smartsim.ports.workload_manager import Report, WorkloadManager

__all__ = [
    "Adapters",
    "Clock",
    "Completed",
    "Connect",
    "ControlChannel",
    "DatabaseServer",
    "Ended",
    "Entry",
    "EventLog",
    "FileSystem",
    "JobEvent",
    "JobMeter",
    "Kind",
    "LoadedModel",
    "LoadedScript",
    "ModelBlob",
    "ModelRuntime",
    "ModelRuntimeError",
    "ModelSerializer",
    "Network",
    "Parallelism",
    "Part",
    "Placing",
    "ProcessMeter",
    "ProcessRunner",
    "ProcessUsage",
    "Queued",
    "Record",
    "Refused",
    "Report",
    "Resumed",
    "RunningStep",
    "ScriptRuntime",
    "SerializedModel",
    "Started",
    "Step",
    "Suspended",
    "TelemetryExport",
    "TensorStore",
    "WorkSource",
    "WorkloadManager",
    "system_adapters",
]
