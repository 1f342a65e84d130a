"""The import paths and names that existing driver and application scripts use."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

PATHS = {
    "smartsim": "Experiment __version__",
    "smartsim.database": "Orchestrator",
    "smartsim.entity": "Ensemble Model DBNode DBObject DBModel DBScript EntityList EntitySequence SmartSimEntity "
    "TelemetryConfiguration",
    "smartsim.error": "AllocationError EntityExistsError LauncherError LauncherUnsupportedFeature ParameterWriterError "
    "ShellError SmartSimError SSConfigError SSDBFilesNotParseable SSDBIDConflictError SSInternalError "
    "SSReservedKeywordError SSUnsupportedError UserStrategyError",
    "smartsim.error.errors": "TelemetryError UnproxyableStepError SmartSimCLIActionCancelled PreviewFormatError",
    "smartsim.log": "get_logger log_to_file log_to_exp_file get_exp_log_paths ctx_exp_path method_contextualizer "
    "ContextThread ContextInjectingLogFilter HostnameFilter LowPassFilter ContextAwareLogger DEFAULT_DATE_FORMAT "
    "DEFAULT_LOG_FORMAT EXPERIMENT_LOG_FORMAT",
    "smartsim.preview": "Format Verbosity",
    "smartsim._core.control.previewrenderer": "Format Verbosity",
    "smartsim.servertype": "CLUSTERED STANDALONE",
    "smartsim.settings": "AprunSettings JsrunSettings MpirunSettings MpiexecSettings OrterunSettings SrunSettings "
    "PalsMpiexecSettings DragonRunSettings FluxRunSettings SbatchSettings QsubBatchSettings BsubBatchSettings "
    "SgeQsubBatchSettings CobaltBatchSettings FluxBatchSettings RunSettings SettingsBase Container Singularity",
    "smartsim.settings.base": "BatchSettings",
    "smartsim.settings.settings": "create_run_settings create_batch_settings",
    "smartsim.settings.containers": "Container Singularity",
    "smartsim.status": "SmartSimStatus TERMINAL_STATUSES",
    "smartsim.wlm": "detect_launcher get_hosts get_queue get_tasks get_tasks_per_node slurm pbs",
    "smartsim.wlm.slurm": "get_allocation release_allocation validate get_default_partition get_hosts get_queue "
    "get_tasks get_tasks_per_node",
    "smartsim.wlm.pbs": "get_hosts get_queue get_tasks get_tasks_per_node",
    "smartsim.ml": "form_name DataInfo TrainingDataUploader DataDownloader",
    "smartsim.ml.tf": "freeze_model serialize_model StaticDataGenerator DynamicDataGenerator",
    "smartsim.ml.torch": "serialize_model StaticDataGenerator DynamicDataGenerator DataLoader",
    "smartsim.ml.onnx": "serialize_model",
    "smartsim.testing": "Script fake_adapters VirtualClock InMemoryFileSystem InMemoryEventLog InMemoryWorkSource "
    "AffineRuntime AffineSerializer InMemoryTensorStore AsyncInMemoryTensorStore",
    "smartsim.embedding": "Adapters system_adapters WorkloadManager FileSystem EventLog Step ModelRuntime WorkSource",
    "smartsim.client": "Client AsyncClient Dataset DatasetConverter Pipeline Pending Stream AsyncStream",
    "smartredis": "Client ConfigOptions Dataset DatasetConverter LogContext SRObject log_data log_warning log_error "
    "LLQuiet LLInfo LLDebug LLDeveloper",
    "smartredis.dataset": "Dataset",
    "smartredis.dataset_utils": "DatasetConverter",
    "smartredis.util": "Dtypes init_default exception_handler typecheck",
    "smartredis.smartredisPy": "SRLoggingLevel",
    "smartredis.error": "RedisReplyError RedisConnectionError RedisTimeoutError RedisRuntimeError RedisKeyError "
    "RedisBadAllocError RedisDatabaseError RedisInternalError",
}

# Parameters with their defaults, as driver scripts rely on them. One default differs from the old system's by decision:
# interface="auto" suits every machine.
NEW = ("adapters", "grace", "replicas", "password", "tls", "io_threads", "lease")
"""What is new with us can be given by name only, so that it is in nobody's way."""

SIGNATURES = {
    "__init__": "name, exp_path=None, launcher='local'",
    "start": "*args, block=True, summary=False, kill_on_interrupt=True",
    "stop": "*args",
    "generate": "*args, tag=None, overwrite=False, verbose=False",
    "poll": "interval=10.0, verbose=True, kill_on_interrupt=True",
    "finished": "entity",
    "get_status": "*args",
    "create_run_settings": "exe, exe_args=None, run_command='auto', run_args=None, env_vars=None, container=None, "
    "**kwargs",
    "create_batch_settings": "nodes=1, time='', queue='', account='', batch_args=None, **kwargs",
    "create_model": "name, run_settings, params=None, path=None, enable_key_prefixing=False, batch_settings=None",
    "create_ensemble": "name, params=None, batch_settings=None, run_settings=None, replicas=None, "
    "perm_strategy='all_perm', path=None, **kwargs",
    "create_database": "port=6379, path=None, db_nodes=1, batch=False, hosts=None, run_command='auto', "
    "interface='auto', account=None, time=None, queue=None, single_cmd=True, db_identifier='orchestrator', **kwargs",
    "reconnect_orchestrator": "checkpoint",
    "summary": "style='github'",
}


@pytest.mark.parametrize("path", PATHS)
def test_names_are_importable_where_scripts_look_for_them(path: str) -> None:
    module = import_module(path)
    missing = [name for name in PATHS[path].split() if not hasattr(module, name)]
    assert missing == []


@pytest.mark.parametrize("path", ["smartsim", "smartsim.log", "smartsim.client", "smartredis"])
def test_a_star_import_gives_what_the_module_says(path: str) -> None:
    module = import_module(path)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("method", SIGNATURES)
def test_experiment_takes_the_arguments_that_scripts_pass(method: str) -> None:
    signature = inspect.signature(getattr(import_module("smartsim").Experiment, method))
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self" and not (parameter.kind is parameter.KEYWORD_ONLY and name in NEW)
    ]
    assert str(inspect.Signature(parameters)) == f"({SIGNATURES[method]})"


def test_every_exception_is_a_smartsim_error() -> None:
    errors = import_module("smartsim.error.errors")
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.SmartSimError), name
    assert issubclass(errors.EntityExistsError, FileExistsError)


def test_statuses_have_the_values_that_scripts_compare() -> None:
    status = import_module("smartsim.status")
    assert {member.name: member.value for member in status.SmartSimStatus} == {
        "STATUS_RUNNING": "Running",
        "STATUS_COMPLETED": "Completed",
        "STATUS_CANCELLED": "Cancelled",
        "STATUS_FAILED": "Failed",
        "STATUS_NEW": "New",
        "STATUS_PAUSED": "Paused",
        "STATUS_NEVER_STARTED": "NeverStarted",
        "STATUS_QUEUED": "Queued",
    }
    assert str(status.SmartSimStatus.STATUS_COMPLETED) == "SmartSimStatus.STATUS_COMPLETED"
    assert {member.value for member in status.TERMINAL_STATUSES} == {"Cancelled", "Completed", "Failed"}


def test_importing_smartsim_imports_nothing_but_the_standard_library() -> None:
    program = (
        "import smartsim, sys; print([n for n in ('numpy', 'redis', 'rich', 'psutil', 'typer') if n in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"


def test_parts_of_a_package_are_reached_without_importing_them_by_name() -> None:
    code = "\n".join(  # noqa: FLY002 - one statement a line
        [
            "import smartredis, smartsim",
            "smartredis.error.RedisReplyError, smartredis.client.Client, smartredis.srobject.SRObject",
            "smartsim.log.get_logger, smartsim.settings.RunSettings, smartsim.error.SmartSimError, smartsim.status",
            "smartsim.database.Orchestrator, smartsim.entity.Model, smartsim.wlm, smartsim.servertype, smartsim.client",
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
