"""What a start would launch, told beforehand."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from smartsim import Experiment
from smartsim.app.launching import OUTPUT_DIRECTORY
from smartsim.embedding import Adapters
from smartsim.error.errors import PreviewFormatError
from smartsim.preview import Format, Verbosity
from smartsim.settings import SbatchSettings, SrunSettings
from smartsim.testing import fake_adapters


@pytest.fixture
def exp(tmp_path: Path) -> Experiment:
    return Experiment("study", str(tmp_path))


def preview(exp: Experiment, *entities: Any, verbosity: str = "developer") -> dict[str, Any]:
    path = Path(exp.exp_path, "preview.json")
    exp.preview(*entities, verbosity_level=verbosity, output_format="json", output_filename=str(path))
    found: dict[str, Any] = json.loads(path.read_text())
    path.unlink()
    return found


def test_a_preview_is_logged_as_it_is(exp: Experiment, caplog: pytest.LogCaptureFixture) -> None:
    settings = exp.create_run_settings("echo", ["<a> & 'b'", "two words"])
    model = exp.create_model("m", settings, params={"dt": 0.5})
    exp.preview(model)
    assert "Only showing user set parameters" in caplog.text
    text = caplog.records[-1].getMessage()
    for part in ("=== Experiment Overview ===", "Launcher: local", "== Models ==", "= Model Name: m =", "dt: 0.5"):
        assert part in text
    assert "<a> & 'b'\n" in text
    assert "Path: /" in text  # of the experiment
    assert "Command:" not in text


def test_nothing_is_started_written_or_changed(exp: Experiment, tmp_path: Path) -> None:
    model = exp.create_model("m", exp.create_run_settings("touch", "here"))
    model.colocate_db_uds()
    ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("true"), replicas=2)
    exp.preview(model, ensemble, exp.create_database(port=0), verbosity_level=Verbosity.DEVELOPER)
    assert list(tmp_path.iterdir()) == []
    assert model.run_settings.env_vars == {}


def test_commands_are_those_of_the_launch(exp: Experiment) -> None:
    settings = exp.create_run_settings("sh", ["-c", 'echo "$A"'], env_vars={"A": "x y"})
    model = exp.create_model("m", settings)
    (command,) = preview(exp, model)["Entity Preview"]["Models"][0]["Commands"]
    exp.start(model, block=True)
    record = next(
        line for line in Path(exp.exp_path, ".smartsim/events.jsonl").read_text().splitlines() if "submitted" in line
    )
    assert command["Command"] == json.loads(record)["command"]
    assert command["Environment"] == {"A": "x y"}
    assert command["Output"].startswith(f"{exp.exp_path}/{OUTPUT_DIRECTORY}/study/RUN/")


def test_what_was_set_is_told_and_what_follows_is_told_to_who_asks(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings("true"))
    model.enable_key_prefixing()
    for verbosity, shown in (("info", set()), ("debug", {"Path", "Key Prefix"}), ("developer", {"Path", "Commands"})):
        (told,) = preview(exp, model, verbosity=verbosity)["Entity Preview"]["Models"]
        assert shown <= told.keys()
        assert told["Executable"].endswith("true")
        assert ("Commands" in told) == (verbosity == "developer")


def test_batch_scripts_are_told_as_they_will_be(tmp_path: Path) -> None:
    adapters: Adapters = fake_adapters()
    exp = Experiment("study", str(tmp_path), launcher="slurm", adapters=adapters)
    settings = SrunSettings("/bin/echo", ["it's", "<b>"])
    settings.set_tasks(2)
    batch = SbatchSettings(nodes=2, time="36:00:00")
    ensemble = exp.create_ensemble("e", batch_settings=batch, run_settings=settings, replicas=3)
    path = "/preview.json"
    exp.preview(ensemble, verbosity_level="developer", output_format=Format.JSON, output_filename=path)
    (told,) = json.loads(adapters.files.read(path))["Entity Preview"]["Ensembles"]
    script = told["Batch Script"]
    assert "#SBATCH --time=36:00:00\n" in script
    assert script.count(shlex.join(["/bin/echo", "it's", "<b>"])) == 3
    assert len(told["Models"]) == 3


def test_of_a_large_ensemble_people_are_told_of_the_first_and_the_last_member(exp: Experiment, tmp_path: Path) -> None:
    ensemble = exp.create_ensemble("e", params={"a": [1, 2, 3]}, run_settings=exp.create_run_settings("true"))
    exp.preview(ensemble, output_filename=str(tmp_path / "p"))
    text = (tmp_path / "p.txt").read_text()
    assert "e_0" in text
    assert "..." in text
    assert "e_1" not in text
    assert "e_2" in text


def test_a_preview_replaces_no_file(exp: Experiment, tmp_path: Path) -> None:
    for _ in range(3):
        exp.preview(output_filename=str(tmp_path / "p.txt"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.txt", "p_01.txt", "p_02.txt"]


def test_databases_that_run_are_told_of_as_such(exp: Experiment) -> None:
    with exp:
        database = exp.create_database(port=0)
        exp.start(database)
        told = preview(exp, database)["Entity Preview"]
        (active,) = told["Active Infrastructure"]
        assert active["TCP/IP Port(s)"] == [database.get_address()[0].rpartition(":")[2]]
        assert "already started" in told["Orchestrators"][0]["Note"]
        model = exp.create_model("m", exp.create_run_settings("true"))
        (client,) = preview(exp, model)["Entity Preview"]["Models"][0]["Client Configuration"]
        assert client["Addresses"] == database.get_address()


def test_bad_words_are_refused(exp: Experiment) -> None:
    with pytest.raises(ValueError, match="'loud' is not a valid Verbosity"):
        exp.preview(verbosity_level="loud")
    with pytest.raises(PreviewFormatError, match="html.*plain_text"):
        exp.preview(output_format="html")
    with pytest.raises(TypeError, match="not Model, Ensemble or Orchestrator"):
        exp.preview("m")  # type: ignore[arg-type]
