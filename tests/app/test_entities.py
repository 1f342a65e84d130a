from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.entity import DBModel, DBObject, DBScript, Ensemble, EntityList, Model, SmartSimEntity
from smartsim.error import SSUnsupportedError
from smartsim.ports.file_system import Placing
from smartsim.settings import RunSettings
from smartsim.settings.base import BatchSettings

MACHINE = ScriptedProcessRunner()


def settings() -> RunSettings:
    return RunSettings("solver", processes=MACHINE)


@pytest.fixture
def files() -> InMemoryFileSystem:
    """Return a file system with a few things to attach."""
    files = InMemoryFileSystem(["/data/tree/sub", "/data/linked"])
    for path in ("/data/in.txt", "/data/mesh.dat", "/data/tree/sub/deep.txt", "/data/cnn.pt", "/data/f.py"):
        files.write(path, b"content")
    return files


@pytest.fixture(params=["model", "ensemble"])
def entity(request: pytest.FixtureRequest, files: InMemoryFileSystem) -> Model | Ensemble:
    if request.param == "model":
        return Model("m", {}, settings(), "/exp/m", files=files)
    return Ensemble("m", None, "/exp/m", run_settings=settings(), replicas=2, files=files)


def models_of(entity: Model | Ensemble) -> list[Model]:
    return [entity] if isinstance(entity, Model) else entity.models


class TestPaths:
    def test_the_default_is_the_directory_at_work_when_it_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert Model("m", {}, settings()).path == str(tmp_path)
        made = Ensemble("e", {}, run_settings=settings(), replicas=1)
        assert (made.path, made.models[0].path) == (str(tmp_path), str(tmp_path / "e_0"))

    def test_a_relative_one_becomes_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        made = Model("m", {}, settings(), "runs/../m")
        monkeypatch.chdir("/")
        assert made.path == str(tmp_path / "m")
        made.set_path("there")
        assert made.path == "/there"

    def test_an_ensembles_path_becomes_absolute_for_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = Ensemble("e", {}, run_settings=settings(), replicas=2)
        monkeypatch.chdir("/")
        made.set_path("there")
        assert {made.path, *(model.path for model in made)} == {"/there"}

    @pytest.mark.parametrize("path", [3, Path("/exp")])
    def test_another_type_is_refused(self, path: Any, entity: Model | Ensemble) -> None:
        with pytest.raises(TypeError, match="path must be a str"):
            Model("m", {}, settings(), path)
        with pytest.raises(TypeError, match="path must be a str"):
            entity.set_path(path)


class TestAttachedFiles:
    def test_they_are_remembered_by_what_becomes_of_them(self, entity: Model | Ensemble) -> None:
        entity.attach_generator_files(["/data/in.txt", "/data/tree"], "/data/mesh.dat", [Path("/data/tree/../in.txt")])
        for model in models_of(entity):
            assert model.files is not None
            assert model.files.copy == ("/data/in.txt", "/data/tree")
            assert model.files.symlink == ("/data/mesh.dat",)
            assert model.files.configure == ("/data/in.txt",)

    def test_attaching_again_forgets_what_was_attached(self, entity: Model | Ensemble) -> None:
        entity.attach_generator_files(to_copy="/data/in.txt")
        entity.attach_generator_files(to_symlink="/data/in.txt")
        for model in models_of(entity):
            assert model.files is not None
            assert (model.files.copy, model.files.symlink) == ((), ("/data/in.txt",))

    @pytest.mark.parametrize("strategy", ["to_copy", "to_symlink", "to_configure"])
    def test_what_is_not_there_is_an_error_and_changes_nothing(
        self, entity: Model | Ensemble, files: InMemoryFileSystem, strategy: str
    ) -> None:
        files.place("/data/gone", "/data/dangling", Placing.SYMLINK)
        entity.attach_generator_files(to_copy="/data/mesh.dat")
        for missing in ("/data/missing", "/data/dangling"):
            with pytest.raises(FileNotFoundError, match=f"File or Directory {missing} not found"):
                entity.attach_generator_files(**{strategy: ["/data/in.txt", missing]})
        for model in models_of(entity):
            assert model.files is not None
            assert model.files.copy == ("/data/mesh.dat",)

    @pytest.mark.parametrize("attached", ["/data/smartsim_params.txt", ["/data/smartsim_params.txt"]])
    def test_the_parameter_file_is_refused_alone_and_in_a_list(
        self, entity: Model | Ensemble, files: InMemoryFileSystem, attached: str | list[str]
    ) -> None:
        files.write("/data/smartsim_params.txt", b"")
        with pytest.raises(ValueError, match="smartsim_params.txt"):
            entity.attach_generator_files(to_copy=attached)

    def test_a_link_to_a_directory_cannot_be_configured(
        self, entity: Model | Ensemble, files: InMemoryFileSystem
    ) -> None:
        files.place("/data/linked", "/data/tree/sub/link", Placing.SYMLINK)
        entity.attach_generator_files(to_copy="/data/tree")
        with pytest.raises(ValueError, match="/data/tree/sub/link is a link to a directory"):
            entity.attach_generator_files(to_configure="/data/tree")

    @pytest.mark.parametrize("wrong", [5, [5], [None]])
    def test_another_type_is_refused(self, entity: Model | Ensemble, wrong: Any) -> None:
        with pytest.raises(TypeError):
            entity.attach_generator_files(to_copy=wrong)

    def test_on_this_machine_relative_paths_are_those_of_now(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "in.txt").write_text("x")
        monkeypatch.chdir(tmp_path)
        model = Model("m", {}, settings(), str(tmp_path))
        model.attach_generator_files(to_copy="in.txt")
        assert model.files is not None
        assert model.files.copy == (str(tmp_path / "in.txt"),)
        with pytest.raises(FileNotFoundError, match=str(tmp_path / "out.txt")):
            model.attach_generator_files(to_copy="out.txt")


class TestTables:
    def test_a_model_shows_its_files(self, files: InMemoryFileSystem, capsys: pytest.CaptureFixture[str]) -> None:
        model = Model("m", {}, settings(), "/exp/m", files=files)
        assert model.attached_files_table == "No file attached to this model."
        model.attach_generator_files()
        assert model.attached_files_table == "No file attached to this entity."
        model.attach_generator_files(["/data/in.txt", "/data/tree"], to_configure="/data/mesh.dat")
        model.print_attached_files()
        assert capsys.readouterr().out == (
            "+------------+----------------+\n"
            "| Strategy   | Files          |\n"
            "+============+================+\n"
            "| Copy       | /data/in.txt   |\n"
            "|            | /data/tree     |\n"
            "+------------+----------------+\n"
            "| Configure  | /data/mesh.dat |\n"
            "+------------+----------------+\n"
        )

    def test_an_ensemble_shows_those_of_its_members(
        self, files: InMemoryFileSystem, capsys: pytest.CaptureFixture[str]
    ) -> None:
        empty = Ensemble("e", None, "/exp/e", batch_settings=BatchSettings("sbatch", processes=MACHINE), files=files)
        assert empty.attached_files_table == "The ensemble is empty, no files to show."
        made = Ensemble("e", {"a": [1, 2]}, "/exp/e", run_settings=settings(), files=files)
        made.models[0].attach_generator_files("/data/in.txt")
        capsys.readouterr()
        made.print_attached_files()
        text = capsys.readouterr().out
        assert text == made.attached_files_table + "\n"
        for expected in ("Model name", "e_0", "/data/in.txt", "e_1", "No file attached to this model."):
            assert expected in text


ADD: list[Callable[[Model | Ensemble, str], None]] = [
    lambda entity, name: entity.add_ml_model(name, "TORCH", model_path="/data/cnn.pt"),
    lambda entity, name: entity.add_script(name, script_path="/data/f.py"),
    lambda entity, name: entity.add_script(name, "def f(x):\n\treturn x\n"),
    lambda entity, name: entity.add_function(name, len),
]


class TestMLObjects:
    def test_a_model_from_a_file(self, entity: Model | Ensemble) -> None:
        entity.add_ml_model(
            "cnn", "torch", None, "/data/../data/cnn.pt", "GPU", 2, 1, 8, 4, 100, "v1", inputs="x", outputs=["y"]
        )
        for holder in (entity, *models_of(entity)):
            (cnn,) = holder.db_models
            assert isinstance(cnn, DBModel)
            assert (cnn.name, cnn.backend, cnn.file, cnn.is_file) == ("cnn", "TORCH", Path("/data/cnn.pt"), True)
            assert (cnn.devices, cnn.batch_size, cnn.min_batch_size, cnn.min_batch_timeout, cnn.tag) == (
                ["GPU:1", "GPU:2"],
                8,
                4,
                100,
                "v1",
            )
            assert (cnn.inputs, cnn.outputs) == (["x"], ["y"])

    def test_scripts_and_functions(self, entity: Model | Ensemble) -> None:
        entity.add_script("file", script_path="/data/f.py")
        entity.add_script("text", "def f(x): return x")
        entity.add_function("function", len)
        for holder in (entity, *models_of(entity)):
            assert [(script.name, script.is_file, script.script) for script in holder.db_scripts] == [
                ("file", True, None),
                ("text", False, "def f(x): return x"),
                ("function", False, len),
            ]
            assert [script.file for script in holder.db_scripts if isinstance(script, DBScript)] == [
                Path("/data/f.py"),
                None,
                None,
            ]

    @pytest.mark.parametrize("add", ADD)
    def test_a_name_is_used_once(self, entity: Model | Ensemble, add: Callable[[Model | Ensemble, str], None]) -> None:
        add(entity, "x")
        with pytest.raises(SSUnsupportedError, match='(An ML Model|A Script) with name "x" already exists'):
            add(entity, "x")
        assert all(len(model.db_models) + len(model.db_scripts) == 1 for model in models_of(entity))

    @pytest.mark.parametrize("path", ["/data/missing", "/data/tree"])
    def test_a_file_that_is_none_is_an_error(self, entity: Model | Ensemble, path: str) -> None:
        with pytest.raises(FileNotFoundError, match=f"{path} is not a file"):
            entity.add_ml_model("cnn", "TF", model_path=path)
        with pytest.raises(FileNotFoundError, match=f"{path} is not a file"):
            entity.add_script("f", script_path=path)

    def test_without_content_there_is_nothing_to_add(self, entity: Model | Ensemble) -> None:
        with pytest.raises(ValueError, match="Either model or model_file must be provided"):
            entity.add_ml_model("cnn", "TF")
        with pytest.raises(ValueError, match="Either script or script_path must be provided"):
            entity.add_script("f")
        with pytest.raises(ValueError, match="Either script or script_path must be provided"):
            entity.add_function("f")

    def test_made_by_hand_they_look_at_the_files_of_this_machine(self, tmp_path: Path) -> None:
        (tmp_path / "cnn.pt").write_bytes(b"blob")
        assert DBModel("cnn", "TORCH", model_file=str(tmp_path / "cnn.pt")).file == tmp_path / "cnn.pt"
        assert DBScript("f", "def f(): pass").file is None
        with pytest.raises(FileNotFoundError):
            DBScript("f", script_path=str(tmp_path / "f.py"))

    def test_a_member_refuses_for_the_whole_ensemble(self, files: InMemoryFileSystem) -> None:
        made = Ensemble("e", None, "/exp/e", run_settings=settings(), replicas=2, files=files)
        made.models[1].add_function("f", len)
        with pytest.raises(SSUnsupportedError, match='"f" already exists'):
            made.add_function("f", max)
        assert [len(model.db_scripts) for model in made] == [0, 1]


class TestRandomEnsembles:
    def drawn(self, seed: int | None) -> Ensemble:
        params = {"a": list(range(20)), "b": list(range(20))}
        return Ensemble("e", params, run_settings=settings(), perm_strat="random", n_models=4, seed=seed)

    def test_a_seed_draws_the_same_again(self) -> None:
        first, second, other = self.drawn(7), self.drawn(7), self.drawn(8)
        assert [model.params for model in first] == [model.params for model in second]
        assert [model.params for model in first] != [model.params for model in other]
        assert first.seed == 7

    def test_without_one_the_seed_that_was_drawn_is_told(self) -> None:
        first = self.drawn(None)
        assert first.seed is not None
        assert [model.params for model in self.drawn(first.seed)] == [model.params for model in first]

    def test_the_random_numbers_of_the_script_are_left_alone(self) -> None:
        state = random.getstate()
        self.drawn(None)
        assert random.getstate() == state

    def test_other_strategies_have_no_seed_of_their_own(self) -> None:
        assert Ensemble("e", {"a": [1]}, run_settings=settings()).seed is None


def test_an_empty_ensemble_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    Ensemble("e", None, batch_settings=BatchSettings("sbatch", processes=MACHINE))
    assert caplog.messages == ["Empty ensemble e created for batch launch"]


def test_what_users_make_are_of_the_classes_they_import() -> None:
    made = Ensemble("e", {}, run_settings=settings(), replicas=1)
    assert isinstance(made, EntityList)
    assert isinstance(made[0], Model)
    assert isinstance(made[0], SmartSimEntity)
    assert isinstance(DBScript("f", "def f(): pass"), DBObject)


@pytest.mark.parametrize("name", ["unknown", "n_model"])
def test_a_misspelled_argument_is_refused(name: str) -> None:
    arguments: dict[str, Any] = {name: 2}
    with pytest.raises(TypeError, match=name):
        Ensemble("e", {"a": [1]}, run_settings=settings(), **arguments)
