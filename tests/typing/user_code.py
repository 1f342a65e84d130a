"""What users write, for a type checker: every public name of the package, used as the documents say."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

import smartredis
from smartsim import Experiment, __version__
from smartsim.client import (
    AsyncClient,
    Client,
    ConfigOptions,
    Dataset,
    LLInfo,
    LogContext,
    Pending,
    RedisConnectionError,
    RedisReplyError,
    Stream,
    log_data,
    log_error,
    log_warning,
)
from smartsim.database import Orchestrator
from smartsim.embedding import (
    Adapters,
    Ended,
    EventLog,
    LoadedModel,
    ModelBlob,
    ModelRuntime,
    Record,
    Report,
    Started,
    Step,
    WorkloadManager,
    system_adapters,
)
from smartsim.entity import Ensemble, Model
from smartsim.error import EntityExistsError, ShellError, SmartSimError
from smartsim.log import get_logger, log_to_file
from smartsim.ml.tf import freeze_model
from smartsim.ml.torch import serialize_model
from smartsim.servertype import STANDALONE
from smartsim.settings import (
    AprunSettings,
    Container,
    DragonRunSettings,
    FluxRunSettings,
    JsrunSettings,
    MpiexecSettings,
    MpirunSettings,
    OrterunSettings,
    PalsMpiexecSettings,
    RunSettings,
    Singularity,
    SrunSettings,
)
from smartsim.settings.settings import create_run_settings
from smartsim.status import TERMINAL_STATUSES, SmartSimStatus
from smartsim.testing import AffineRuntime, InMemoryTensorStore, Script, VirtualClock, fake_adapters
from smartsim.wlm import detect_launcher

# A driver script


def describe(exp: Experiment) -> tuple[Model, Ensemble, Orchestrator]:
    container: Container = Singularity("image.sif", args=["--nv"], mount={"/scratch": "/data"})
    settings: RunSettings = exp.create_run_settings(
        "solve", ["--steps", "10"], env_vars={"THREADS": "2", "UNSET": None}, container=container
    )
    settings.set_tasks(4)
    settings.set_hostlist(["n1", "n2"])
    settings.set_time(hours=1)
    settings.set("exclusive")
    settings.update_env({"OMP_NUM_THREADS": 4, "SCALE": 0.5})
    settings.add_exe_args("--verbose")

    model = exp.create_model("model", settings, params={"dt": 0.1, "name": "north"}, enable_key_prefixing=True)
    model.attach_generator_files(to_copy=["mesh.dat"], to_symlink="data", to_configure="input.txt")
    model.params_to_args()

    ensemble = exp.create_ensemble(
        "ensemble",
        params={"dt": [0.1, 0.2], "order": 2},
        params_as_args=["dt"],
        run_settings=settings,
        perm_strategy="random",
        n_models=3,
        seed=7,
    )
    exp.create_ensemble("own", params={"a": [1]}, run_settings=settings, perm_strategy=only_first, replicas=2)
    member: Model
    for member in ensemble:
        model.register_incoming_entity(member)
    ensemble.add_model(exp.create_model("one_more", settings))
    ensemble.enable_key_prefixing()
    count: int = len(ensemble)
    members: list[Model] = ensemble.models
    assert count == len(members)

    database = exp.create_database(port=0, interface="lo", db_identifier="fields", lease=600)
    return model, ensemble, database


def settings_of_every_launcher() -> list[RunSettings]:
    srun = SrunSettings("solve", ["--steps", "10"], {"exclusive": None, "nice": 0}, {"THREADS": 2}, alloc=17)
    srun.set_cpu_bindings([0, 1])
    srun.set_het_group((0, 1))
    srun.make_mpmd(SrunSettings("couple", container=Singularity("image.sif")))
    exported: str
    compound: list[str]
    exported, compound = srun.format_comma_sep_env_vars()
    srun.check_env_vars()
    words: list[str] = [*srun.format_run_args(), *srun.format_env_vars(), exported, *compound]

    mpirun = MpirunSettings("solve", words, {"np": 4}, fail_if_missing_exec=False, run_command="/opt/mpi/bin/mpirun")
    mpirun.set_cpu_binding_type("core")
    pals = PalsMpiexecSettings("solve")
    pals.set_gpu_affinity_script("affinity.sh", 1, "packed")
    jsrun = JsrunSettings("solve", run_args={"smpiargs": "-gpu"})
    jsrun.set_num_rs("ALL_HOSTS")
    jsrun.set_erf_sets({"host": "*", "cpu": "{0:4}"})
    jsrun.set_individual_output("_%t")
    dragon = DragonRunSettings("solve", env_vars={"THREADS": 2})
    dragon.set_gpu_affinity([0])
    flux = FluxRunSettings("solve")
    flux.set_gpus_per_task(1)
    flux.set_queue("debug")
    return [
        srun,
        mpirun,
        MpiexecSettings("solve"),
        OrterunSettings("solve"),
        AprunSettings("solve"),
        pals,
        jsrun,
        dragon,
        flux,
    ]


def only_first(names: list[str], values: list[list[str]], n_models: int) -> list[dict[str, str]]:
    assert n_models >= 0
    return [dict(zip(names, (options[0] for options in values), strict=True))]


def drive() -> str:
    with Experiment("study", "/scratch", launcher=detect_launcher()) as exp:
        model, ensemble, database = describe(exp)
        try:
            exp.generate(model, ensemble, tag="@", overwrite=True, verbose=True)
        except EntityExistsError as error:
            get_logger(__name__, "debug").warning("%s: %s", error.filename, error)
        exp.start(database, model, ensemble, block=False, summary=True, kill_on_interrupt=True)
        address: list[str] = database.get_address()
        database.set_db_conf("maxmemory-policy", "noeviction")
        exp.poll(interval=1.0, verbose=False)
        statuses: list[SmartSimStatus] = exp.wait(model, ensemble, timeout=60.0)
        if not all(status in TERMINAL_STATUSES for status in statuses) or not exp.finished(model):
            exp.stop(model, ensemble, grace=1.0)
        reconnected: Orchestrator = exp.reconnect_orchestrator(database.checkpoint_file)
        assert reconnected.is_active()
        assert reconnected.get_address() == address
        exp.telemetry.disable()
        return exp.summary(style="html")


def complain() -> None:
    try:
        drive()
    except ShellError as error:
        log_to_file("failed.log", "info")
        raise SystemExit(f"{__version__}: {error}") from error
    except SmartSimError:
        settings = create_run_settings("local", "echo", exe_args="hello")
        assert settings.exe_args == ["hello"]


# An application


def without_a_database() -> bool:
    with Client(store=InMemoryTensorStore()) as client:
        client.put_tensor("x", np.zeros(3))
        return client.tensor_exists("x")


def exchange(options: ConfigOptions) -> npt.NDArray[Any]:
    options.override_string_option("SR_DB_TYPE", STANDALONE)
    with Client(options, logger_name="application") as client, smartredis.Client(cluster=False) as other:
        try:
            client.put_tensor("field", np.ones((3, 4)))
            client.copy_tensor("field", "copy")
            client.rename_tensor("copy", "renamed")
            client.delete_tensor("renamed")
        except RedisReplyError as error:
            LogContext("application").log_error(LLInfo, str(error))
            log_error("application", LLInfo, error.method)
        client.set_data_source("member_0")
        client.use_tensor_ensemble_prefix(use_prefix=False)
        found: bool = (
            client.poll_tensor("field", 100, 10) and other.tensor_exists("field") and client.key_exists("field")
        )
        client.log_data(LLInfo, f"found: {found}")
        field: npt.NDArray[Any] = other.get_tensor("field")
        return field


def keep_a_step(client: Client, step: int) -> list[str]:
    dataset = Dataset(f"step_{step}")
    dataset.add_tensor("pressure", np.ones((8, 8)))
    dataset.add_meta_scalar("time", 0.1 * step)
    dataset.add_meta_string("solver", "implicit")
    client.put_dataset(dataset, ttl=3600)
    client.append_to_list("steps", dataset)
    steps: list[Dataset] = client.get_datasets_from_list("steps")
    last: Dataset = client.get_dataset(f"step_{step}")
    times: npt.NDArray[Any] = last.get_meta_scalars("time")
    client.put_bytes("note", f"{times[0]}".encode())
    length: int = client.get_list_length("steps")
    assert length == len(steps)
    return [one.get_name() for one in steps]


def double(x: Any) -> Any:
    return 2 * x


def infer(client: Client, blob: bytes) -> str:
    client.set_model("layer", blob, "TORCH", device="CPU", batch_size=8)
    client.run_model("layer", inputs=["x"], outputs=["y"])
    client.set_function("double", double)
    client.run_script("double", "double", ["y"], ["z"])
    (info,) = client.get_ai_info(["127.0.0.1:6379"], "layer")
    calls: str = info["calls"]
    (node,) = client.get_db_node_info(["127.0.0.1:6379"])
    memory: str = node["Memory"]["used_memory"]
    return client.get_script("double") + calls + memory


def exchange_many(client: Client) -> float:
    with client.pipeline() as pipeline:
        pipeline.put_tensor("a", np.ones(3))
        array: Pending[npt.NDArray[Any]] = pipeline.get_tensor("a")
        there: Pending[bool] = pipeline.tensor_exists("b")
    return float(array.result().sum()) if not there.result() else 0.0


def train(client: Client) -> int:
    stream: Stream = client.stream("samples", capacity=16)
    stream.publish(Dataset("sample"), timeout=10)
    stream.end()
    return sum(dataset.get_tensor("x").size for dataset in stream.consume(group="trainer", timeout=60))


async def exchange_awaited(address: str) -> npt.NDArray[Any]:
    async with AsyncClient(cluster=False, address=address, password="secret") as client:
        await client.put_tensor("x", np.ones(3))
        found: bool = await client.poll_tensor("x", 100, 10)
        assert found
        async with client.pipeline() as pipeline:
            pending = pipeline.get_tensor("x")
        datasets: list[Dataset] = await client.get_datasets_from_list("steps")
        assert not datasets
        async for dataset in await client.stream("samples").consume(timeout=1):
            assert dataset.get_tensor_names()
        result: npt.NDArray[Any] = pending.result() + await client.get_tensor("x")
        return result


def connect() -> npt.NDArray[Any]:
    try:
        return exchange(ConfigOptions.create_from_environment("fields"))
    except RedisConnectionError as error:
        log_warning("application", LLInfo, str(error))
        log_data("application", LLInfo, "there is no database")
        raise


# A platform with parts of its own


class Queue:
    """A workload manager."""

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        for step in steps:
            report(step.name, Started(0.0, native_id="1"))
            report(step.name, Ended(1.0, returncode=len(step.command) - len(step.argv)))

    def stop(self, names: Collection[str], grace: float) -> None:
        assert names or grace

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        return bool(handle) and callable(report) and bool(step.environment)

    def handle(self, name: str) -> Mapping[str, object]:
        return {"name": name}

    def close(self) -> None:
        pass


class Forwarding:
    """An event log."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, records: Sequence[Record]) -> None:
        self.records.extend(records)

    def replay(self) -> Iterator[Record]:
        return iter(self.records)


def embed(exp_path: str) -> Experiment:
    manager: WorkloadManager = Queue()
    log: EventLog = Forwarding()
    adapters: Adapters = replace(system_adapters("local", exp_path), workload_manager=manager, event_log=log)
    return Experiment("embedded", exp_path, adapters=adapters)


# Models


def serialize(module: object, network: object) -> int:
    blob, inputs, outputs = serialize_model(module, example_inputs=[0.0])
    path, *names = freeze_model(network, "models", "network")
    return len(blob) + len(path) + len(inputs + outputs + names[0])


def run_a_toy(values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    runtime: ModelRuntime = AffineRuntime()
    model: LoadedModel = runtime.load(ModelBlob(b'{"scale": 2, "shift": 1}'), "CPU")
    return model.run([values])[0]


# The tests of a driver script


def test_drive() -> None:
    adapters = fake_adapters(play, programs={"solve": "/opt/bin/solve"})
    clock = adapters.clock
    assert isinstance(clock, VirtualClock)
    exp = Experiment("fake", "/virtual", adapters=adapters)
    exp.start(exp.create_model("model", exp.create_run_settings("solve")))


def play(step: Step) -> Script:
    return Script(duration=60.0, returncode=int(step.name.startswith("bad")))
