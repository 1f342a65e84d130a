"""Models and scripts of entities, put into databases at their start: whole experiments on fakes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from onnx import parser

from smartsim import Experiment
from smartsim.adapters.ml.affine import Affine
from smartsim.app.ml_uploads import MLObjects, describe, read
from smartsim.client import Client
from smartsim.database import Orchestrator
from smartsim.domain.addresses import Address
from smartsim.domain.client_errors import RedisConnectionError, RedisDatabaseError
from smartsim.embedding import Adapters, Step, TensorStore
from smartsim.entity import DBModel, Ensemble, Model
from smartsim.error import SmartSimError, SSUnsupportedError
from smartsim.ml.onnx import serialize_model as serialize_onnx
from smartsim.ml.torch import serialize_model
from smartsim.ports.database_server import Credentials
from smartsim.ports.tensor_store import Command, Reply, Request
from smartsim.status import SmartSimStatus
from smartsim.testing import (
    AffineRuntime,
    AffineSerializer,
    InMemoryFileSystem,
    InMemoryTensorStore,
    Script,
    ScriptedWorkloadManager,
    fake_adapters,
)

SOURCE = "def twice(x):\n    return 2 * x\n"
AFFINE = AffineSerializer().serialize(Affine(2, 1)).blob
RUNNING, CANCELLED = SmartSimStatus.STATUS_RUNNING, SmartSimStatus.STATUS_CANCELLED


def thrice(x: torch.Tensor) -> torch.Tensor:
    return 3 * x


class Contents(InMemoryTensorStore):
    """What a database holds, and what it was told to store."""

    def __init__(self, runtime: AffineRuntime | None = None) -> None:
        super().__init__(runtime)
        self.stored: list[tuple[str, str]] = []  # keys, and devices

    def run(self, requests: Sequence[Request]) -> list[Reply]:
        for request in requests:
            if isinstance(request, Command) and request.words[0] in {b"AI.MODELSTORE", b"AI.SCRIPTSET"}:
                device = request.words[3 if request.words[0] == b"AI.MODELSTORE" else 2]
                self.stored.append((bytes(request.words[1]).decode(), bytes(device).decode()))
        return super().run(requests)


class Connections:
    """Connects to databases that are made by the first who does."""

    def __init__(self, make: Callable[[], Contents] = Contents) -> None:
        self.contents: dict[Sequence[Address], Contents] = {}
        self.logins: list[Credentials] = []
        self._make = make

    def __call__(self, addresses: Sequence[Address], credentials: Credentials) -> AbstractContextManager[TensorStore]:
        self.logins.append(credentials)
        if tuple(addresses) not in self.contents:
            self.contents[tuple(addresses)] = self._make()
        return nullcontext(self.contents[tuple(addresses)])

    def to(self, database: Orchestrator) -> Contents:
        addresses = tuple(Address.tcp(*_parts(address)) for address in database.get_address())
        return self.contents[addresses]


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class Setting:
    """An experiment on fakes with a database; solvers run for a virtual second."""

    def __init__(self, connections: Connections | None = None, *, duration: float | None = 1.0) -> None:
        self.connections = connections or Connections()
        self.adapters: Adapters = replace(
            fake_adapters(lambda _step: Script(duration=duration)), connect=self.connections
        )
        self.exp = Experiment("study", "/virtual", adapters=self.adapters)
        self.database = self.exp.create_database(port=0)

    def model(self, name: str = "m") -> Model:
        return self.exp.create_model(name, self.exp.create_run_settings("solver"))

    def ensemble(self, replicas: int) -> Ensemble:
        return self.exp.create_ensemble("e", run_settings=self.exp.create_run_settings("solver"), replicas=replicas)

    def started(self) -> Sequence[Step]:
        steps = cast("ScriptedWorkloadManager", self.adapters.workload_manager).submitted
        return [step for step in steps if "solver" in step.argv[0]]

    def stored(self) -> list[str]:
        return [name for name, _ in self.connections.to(self.database).stored]

    def client(self) -> Client:
        return Client(store=self.connections.to(self.database))


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_they_are_there_before_the_application_starts() -> None:
    setting = Setting()

    def play(_step: Step) -> Script:
        seen.append(list(setting.stored()))
        return Script()

    seen: list[list[str]] = []
    setting.adapters = replace(fake_adapters(play), connect=setting.connections)
    setting.exp = Experiment("study", "/virtual", adapters=setting.adapters)
    setting.database = setting.exp.create_database(port=0)
    model = setting.model()
    model.add_ml_model("cnn", "TORCH", b"blob")
    model.add_script("script", SOURCE)
    model.add_function("function", thrice)
    setting.exp.start(setting.database, model)
    assert seen == [["cnn", "script", "function"]]
    client = setting.client()
    assert client.get_model("cnn") == b"blob"
    assert client.get_script("script") == SOURCE
    assert client.get_script("function") == "def thrice(x: torch.Tensor) -> torch.Tensor:\n    return 3 * x\n"


def test_what_is_in_files_is_read_at_the_start(setting: Setting) -> None:
    setting.adapters.files.write("/virtual/cnn.pt", b"old")
    setting.adapters.files.write("/virtual/f.py", SOURCE.encode())
    model = setting.model()
    model.add_ml_model("cnn", "TORCH", model_path="/virtual/cnn.pt")
    model.add_script("f", script_path="/virtual/f.py")
    setting.adapters.files.write("/virtual/cnn.pt", b"new")
    setting.exp.start(setting.database, model)
    assert (setting.client().get_model("cnn"), setting.client().get_script("f")) == (b"new", SOURCE)


def test_a_file_that_went_away_is_an_error(setting: Setting) -> None:
    setting.adapters.files.write("/virtual/cnn.pt", b"blob")
    model = setting.model()
    model.add_ml_model("cnn", "TORCH", model_path="/virtual/cnn.pt")
    setting.adapters.files.remove("/virtual/cnn.pt")
    with pytest.raises(SmartSimError, match=r"The model 'cnn' of m cannot be stored: .*/virtual/cnn.pt"):
        setting.exp.start(setting.database, model)
    assert not setting.database.is_active()


class TestFrameworks:
    """Models in memory, as their frameworks have them."""

    def test_torch(self, setting: Setting) -> None:
        layer = torch.nn.Linear(3, 2)
        model = setting.model()
        model.add_ml_model("layer", "TORCH", layer)
        setting.exp.start(setting.database, model)
        assert setting.client().get_model("layer") == serialize_model(layer)[0]

    def test_onnx(self, setting: Setting) -> None:
        text = '<ir_version: 8, opset_import: ["": 17]> m (float[n, 3] x) => (float[n, 3] y) { y = Add(x, x) }'
        proto = parser.parse_model(text)
        model = setting.model()
        model.add_ml_model("add", "ONNX", proto)
        setting.exp.start(setting.database, model)
        assert setting.client().get_model("add") == serialize_onnx(proto)[0]

    def test_keras_tells_the_names_of_its_nodes(self, setting: Setting) -> None:
        import tensorflow as tf

        network = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(2)])
        model = setting.model()
        model.add_ml_model("dense", "TF", network)
        setting.exp.start(setting.database, model)
        store = setting.connections.to(setting.database)
        (meta,) = store.run([Command((b"AI.MODELGET", b"dense", b"META"))])
        assert isinstance(meta, list)
        assert meta[meta.index(b"inputs") + 1] == [b"args_0"]
        assert meta[meta.index(b"outputs") + 1] == [b"Identity"]

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_bytes_are_taken_as_they_are(self, setting: Setting, kind: Callable[[bytes], Any]) -> None:
        model = setting.model()
        model.add_ml_model("lite", "TFLITE", kind(b"blob"))
        setting.exp.start(setting.database, model)
        assert setting.client().get_model("lite") == b"blob"

    @pytest.mark.parametrize(
        ("backend", "given", "reason"),
        [
            ("TORCH", object(), "a model of torch is a torch.nn.Module"),
            ("ONNX", 3, "an ONNX model is an onnx.ModelProto"),
            ("TFLITE", object(), "TFLiteConverter"),
            ("TORCH", torch.nn.Module(), "TorchScript"),
        ],
    )
    def test_what_is_no_model_starts_nothing(self, setting: Setting, backend: str, given: object, reason: str) -> None:
        model = setting.model()
        model.add_ml_model("cnn", backend, given)
        with pytest.raises(SmartSimError, match=f"The model 'cnn' of m cannot be stored: (.|\n)*{reason}"):
            setting.exp.start(setting.database, model)
        assert (setting.started(), setting.connections.contents) == ([], {})

    def test_a_function_without_a_source_starts_nothing(self, setting: Setting) -> None:
        model = setting.model()
        model.add_function("f", len)
        with pytest.raises(SmartSimError, match="The script 'f' of m cannot be stored: the source of .* not to be had"):
            setting.exp.start(setting.database, model)
        assert not setting.database.is_active()


class TestOnce:
    """What is stored, and how often."""

    def test_five_hundred_members_cause_one_upload(self, setting: Setting) -> None:
        ensemble = setting.ensemble(499)
        ensemble.add_ml_model("cnn", "TORCH", b"blob")
        ensemble.add_function("f", thrice)
        late = setting.model("late")
        ensemble.add_model(late)
        setting.exp.start(setting.database, ensemble)
        assert len(setting.started()) == 500
        assert setting.stored() == ["cnn", "f"]

    def test_entities_with_the_same_content_cause_one_upload(self, setting: Setting) -> None:
        layer = torch.nn.Linear(3, 2)
        one, two, three = (setting.model(name) for name in ("one", "two", "three"))
        one.add_ml_model("cnn", "TORCH", layer)
        two.add_ml_model("cnn", "torch", layer)
        three.add_ml_model("cnn", "TORCH", serialize_model(layer)[0])
        setting.exp.start(setting.database, one, two, three)
        assert setting.stored() == ["cnn"]

    @pytest.mark.parametrize(
        "add",
        [
            lambda model: model.add_ml_model("x", "TORCH", b"other"),
            lambda model: model.add_ml_model("x", "ONNX", b"blob"),
            lambda model: model.add_ml_model("x", "TORCH", b"blob", device="GPU"),
            lambda model: model.add_ml_model("x", "TORCH", b"blob", tag="v2"),
            lambda model: model.add_script("x", "blob"),
        ],
    )
    def test_a_name_for_two_things_starts_nothing(self, setting: Setting, add: Callable[[Model], None]) -> None:
        one, two = setting.model("one"), setting.model("two")
        one.add_ml_model("x", "TORCH", b"blob")
        add(two)
        with pytest.raises(SSUnsupportedError, match="two has a (model|script) 'x' and one another model"):
            setting.exp.start(setting.database, one, two)
        assert (setting.started(), setting.connections.contents) == ([], {})

    def test_a_second_start_uploads_what_is_new(self, setting: Setting) -> None:
        first, second, third = (setting.model(name) for name in ("first", "second", "third"))
        for model in (first, second):
            model.add_ml_model("cnn", "TORCH", b"blob")
            model.add_script("f", SOURCE)
        third.add_ml_model("cnn", "TORCH", b"trained")
        setting.exp.start(setting.database, first)
        setting.client().delete_script("f")
        setting.exp.start(second)
        setting.exp.start(third)
        assert setting.stored() == ["cnn", "f", "f", "cnn"]
        assert setting.client().get_model("cnn") == b"trained"

    def test_what_an_application_put_in_its_place_stays(self, setting: Setting) -> None:
        model = setting.model()
        model.add_ml_model("cnn", "TORCH", b"blob")
        setting.exp.start(setting.database, model)
        setting.client().set_model("cnn", b"trained further", "TORCH")
        setting.exp.start(model)
        assert setting.client().get_model("cnn") == b"trained further"

    def test_a_database_that_is_started_again_gets_them_again(self, setting: Setting) -> None:
        model = setting.model()
        model.add_ml_model("cnn", "TORCH", b"blob")
        setting.exp.start(setting.database, model)
        setting.exp.stop(setting.database)
        setting.exp.start(setting.database, model)
        contents = setting.connections.contents.values()
        assert [name for content in contents for name, _ in content.stored] == ["cnn", "cnn"]

    def test_every_database_gets_them(self, setting: Setting) -> None:
        other = setting.exp.create_database(port=0, db_identifier="other")
        cluster = setting.exp.create_database(port=0, db_identifier="cluster", db_nodes=3)
        model = setting.model()
        model.add_ml_model("cnn", "TORCH", b"blob")
        setting.exp.start(setting.database, other, cluster)
        setting.exp.start(model)
        for database in (setting.database, other, cluster):
            assert setting.connections.to(database).stored == [("cnn", "CPU")]
        assert {login.username for login in setting.connections.logins} == {"admin"}
        assert len({login.password for login in setting.connections.logins}) == 3


class TestDevices:
    def test_a_range_of_gpus(self, setting: Setting) -> None:
        model = setting.model()
        model.add_ml_model("cnn", "TORCH", b"blob", device="GPU", devices_per_node=2, first_device=1)
        model.add_script("f", SOURCE, device="GPU", devices_per_node=2)
        model.add_script("g", SOURCE, device="gpu:3")
        setting.exp.start(setting.database, model)
        assert setting.connections.to(setting.database).stored == [
            ("cnn.GPU:1", "GPU:1"),
            ("cnn.GPU:2", "GPU:2"),
            ("cnn", "GPU"),
            ("f.GPU:0", "GPU:0"),
            ("f.GPU:1", "GPU:1"),
            ("f", "GPU"),
            ("g", "GPU:3"),
        ]

    def test_all_options_arrive(self, setting: Setting) -> None:
        model = setting.model()
        model.add_ml_model("g", "TF", b"blob", None, "CPU", 1, 0, 8, 4, 100, "v1", inputs="x", outputs=["y", "z"])
        setting.exp.start(setting.database, model)
        (meta,) = setting.connections.to(setting.database).run([Command((b"AI.MODELGET", b"g", b"META"))])
        assert isinstance(meta, list)
        assert dict(zip(meta[::2], map(str, meta[1::2]), strict=True)) == {
            b"backend": "b'TF'",
            b"device": "b'CPU'",
            b"tag": "b'v1'",
            b"batchsize": "8",
            b"minbatchsize": "4",
            b"inputs": "[b'x']",
            b"outputs": "[b'y', b'z']",
            b"minbatchtimeout": "100",
        }

    def test_names_are_not_prefixed(self, setting: Setting) -> None:
        ensemble = setting.ensemble(2)
        ensemble.add_ml_model("cnn", "TORCH", b"blob")
        assert ensemble.query_key_prefixing()
        setting.exp.start(setting.database, ensemble)
        assert setting.stored() == ["cnn"]


class TestErrors:
    def test_a_model_that_the_framework_does_not_load_starts_no_application(self) -> None:
        setting = Setting(Connections(lambda: Contents(AffineRuntime())))
        model = setting.model()
        model.add_ml_model("fine", "ONNX", AFFINE)
        model.add_ml_model("broken", "ONNX", b"no model")
        with pytest.raises(
            SmartSimError,
            match="The model 'broken' of m cannot be stored in the database 'orchestrator': .*this is no affine model",
        ):
            setting.exp.start(setting.database, model)
        assert setting.started() == []
        assert setting.exp.get_status(setting.database) == [CANCELLED]
        with pytest.raises(SmartSimError):
            setting.database.get_address()

    def test_a_database_that_ran_before_goes_on(self) -> None:
        setting = Setting(Connections(lambda: Contents(AffineRuntime())))
        setting.exp.start(setting.database)
        model = setting.model()
        model.add_ml_model("gpu", "ONNX", AFFINE, device="GPU")
        with pytest.raises(SmartSimError, match="The model 'gpu' of m .*GPU:0 requested"):
            setting.exp.start(model)
        assert setting.exp.get_status(setting.database) == [RUNNING]
        assert setting.exp.get_status(model) == [SmartSimStatus.STATUS_NEVER_STARTED]

    def test_after_it_is_mended_it_starts(self) -> None:
        setting = Setting(Connections(lambda: Contents(AffineRuntime())))
        setting.exp.start(setting.database)
        setting.adapters.files.write("/virtual/m.onnx", b"no model")
        model = setting.model()
        model.add_ml_model("m", "ONNX", model_path="/virtual/m.onnx")
        with pytest.raises(SmartSimError, match="this is no affine model"):
            setting.exp.start(model)
        setting.adapters.files.write("/virtual/m.onnx", AFFINE)
        setting.exp.start(model)
        setting.client().put_tensor("x", np.ones(2))
        setting.client().run_model("m", inputs=["x"], outputs=["y"])
        assert setting.client().get_tensor("y").tolist() == [3, 3]

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"min_batch_size": 4}, "batch_size must be non-zero"),
            ({"inputs": "x"}, "only valid for TF models"),
        ],
    )
    def test_options_that_do_not_go_together(self, setting: Setting, options: dict[str, Any], reason: str) -> None:
        model = setting.model()
        model.add_ml_model("cnn", "ONNX", AFFINE, **options)
        with pytest.raises(SmartSimError, match=f"'cnn' of m (.|\n)*{reason}"):
            setting.exp.start(setting.database, model)
        assert setting.started() == []

    @pytest.mark.parametrize("failure", [RedisConnectionError("no answer"), RedisDatabaseError("no answer")])
    def test_a_database_that_does_not_answer(self, setting: Setting, failure: Exception) -> None:
        def connect(_addresses: Sequence[Address], _credentials: Credentials) -> AbstractContextManager[TensorStore]:
            raise failure

        setting.adapters = replace(fake_adapters(), connect=connect)
        setting.exp = Experiment("study", "/virtual", adapters=setting.adapters)
        setting.database = setting.exp.create_database(port=0)
        model = setting.model()
        model.add_script("f", SOURCE)
        with pytest.raises(SmartSimError, match="no answer"):
            setting.exp.start(setting.database, model)
        assert (setting.started(), setting.database.is_active()) == ([], False)

    def test_without_a_database_nothing_starts(self, setting: Setting) -> None:
        model = setting.model()
        model.add_script("f", SOURCE)
        with pytest.raises(SmartSimError, match="m has the script 'f', and no database runs"):
            setting.exp.start(model)
        assert setting.started() == []


class TestColocated:
    """What is for a database beside the model is described to the nodes."""

    def described(self, setting: Setting, step: Step) -> list[dict[str, Any]]:
        description = step.argv[step.argv.index("--") - 1]
        found: list[dict[str, Any]] = json.loads(setting.adapters.files.read(description))["objects"]
        return found

    def steps(self, setting: Setting) -> Sequence[Step]:
        return cast("ScriptedWorkloadManager", setting.adapters.workload_manager).submitted

    def test_they_stay_out_of_other_databases(self, setting: Setting) -> None:
        setting.adapters.files.write("/virtual/cnn.pt", b"from a file")
        model = setting.model()
        model.colocate_db_uds(db_identifier="near")
        model.add_ml_model("cnn", "TORCH", model_path="/virtual/cnn.pt")
        model.add_ml_model("layer", "TORCH", torch.nn.Linear(3, 2), tag="v1")
        model.add_function("f", thrice)
        setting.exp.start(setting.database, model)
        assert setting.connections.contents == {}
        (step,) = (step for step in self.steps(setting) if "--" in step.argv)
        described = self.described(setting, step)
        assert described[0]["file"] == "/virtual/cnn.pt"
        objects = MLObjects(setting.adapters.files).of([model])
        assert read(described, setting.adapters.files) == objects
        assert [upload.content for upload in objects][::2] == [
            b"from a file",
            b"def thrice(x: torch.Tensor) -> torch.Tensor:\n    return 3 * x\n",
        ]
        for each in described[1:]:
            entry = setting.adapters.files.inspect(each["file"])
            assert entry is not None
            assert entry.mode == 0o600

    def test_members_share_the_files(self, setting: Setting) -> None:
        ensemble = setting.ensemble(20)
        for member in ensemble.models:
            member.colocate_db_uds()
        ensemble.add_ml_model("cnn", "TORCH", b"blob")
        setting.exp.start(ensemble)
        files = {each["file"] for step in self.steps(setting) for each in self.described(setting, step)}
        assert len(self.steps(setting)) == 20
        assert len(files) == 1

    def test_what_cannot_be_serialized_starts_nothing(self, setting: Setting) -> None:
        model = setting.model()
        model.colocate_db_uds(db_identifier="near")
        model.add_ml_model("cnn", "TORCH", object())
        with pytest.raises(SmartSimError, match="The model 'cnn' of m cannot be stored"):
            setting.exp.start(setting.database, model)
        assert self.steps(setting) == []


def test_a_description_survives_json() -> None:
    files = InMemoryFileSystem(["/virtual"])
    run_settings = Setting().exp.create_run_settings("solver")
    model = Model("m", {}, run_settings, "/virtual/m", files=files)
    model.add_ml_model_object(DBModel("cnn", "TF", b"blob", batch_size=8, inputs=["x", "y"], outputs="z"))
    model.add_script("f", SOURCE, device="GPU", devices_per_node=2, first_device=1)
    uploads = MLObjects(files).of([model])
    described = describe(uploads, "/virtual/objects", files)
    assert read(json.loads(json.dumps(described)), files) == uploads


def test_the_fakes_keep_what_is_stored() -> None:
    adapters = fake_adapters()
    exp = Experiment("study", "/virtual", adapters=adapters)
    database = exp.create_database(port=0)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    model.add_ml_model("cnn", "TORCH", b"blob", device="GPU")
    model.add_script("f", SOURCE)
    exp.start(database, model)
    assert exp.get_status(model) == [SmartSimStatus.STATUS_COMPLETED]
    (address,) = database.get_address()
    with adapters.connect([Address.tcp(*_parts(address))], Credentials("admin", "secret")) as store:
        client = Client(store=store)
        assert (client.get_model("cnn"), client.get_script("f")) == (b"blob", SOURCE)
