"""Experiments with the real adapters on this machine."""

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tabulate import tabulate_formats

from smartsim import Experiment
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.database import Orchestrator
from smartsim.domain.launchers import LAUNCHERS
from smartsim.entity import Ensemble
from smartsim.error import EntityExistsError, ParameterWriterError, ShellError, SmartSimError, SSUnsupportedError
from smartsim.status import SmartSimStatus

COMPLETED, FAILED = SmartSimStatus.STATUS_COMPLETED, SmartSimStatus.STATUS_FAILED
CANCELLED, RUNNING = SmartSimStatus.STATUS_CANCELLED, SmartSimStatus.STATUS_RUNNING


@pytest.fixture
def exp(tmp_path: Path) -> Iterator[Experiment]:
    with Experiment("study", str(tmp_path)) as exp:
        yield exp


def test_the_directory_is_made_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exp = Experiment("study")
    assert not (tmp_path / "study").exists()
    model = exp.create_model("m", exp.create_run_settings("echo", "Hello World"))
    exp.start(model)
    assert (tmp_path / "study" / "m" / "m.out").read_text() == "Hello World\n"
    assert (str(exp), exp.exp_path, exp.launcher) == ("study", str(tmp_path / "study"), "local")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("x", "/no/such/directory"), NotADirectoryError, "/no/such/directory"),
        (("x", 5), TypeError, "exp_path argument was not of type str: 5"),
        ((5,), TypeError, "5"),
        (("",), ValueError, "''"),
        (("x", None, "kubernetes"), SSUnsupportedError, "Launcher type not supported: kubernetes"),
        (("x", None, None), TypeError, "None"),
    ],
)
def test_what_cannot_be_an_experiment(arguments: tuple[str, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Experiment(*arguments)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_an_experiment_of_any_launcher_can_be_described_anywhere(launcher: str) -> None:
    exp = Experiment("study", launcher=launcher)
    assert (exp.launcher, exp.get_status()) == (launcher, [])


def test_exit_codes_outputs_and_links(exp: Experiment) -> None:
    good = exp.create_model("good", exp.create_run_settings("sh", ["-c", "echo out; echo err >&2"]))
    bad = exp.create_model("bad", exp.create_run_settings("sh", ["-c", "exit 7"]))
    killed = exp.create_model("killed", exp.create_run_settings("sh", ["-c", "kill -SEGV $$"]))
    exp.start(good, bad, killed)
    assert exp.get_status(good, bad, killed) == [COMPLETED, FAILED, FAILED]
    rows = [[cell.strip() for cell in line.split("|")] for line in exp.summary().splitlines()[2:]]
    assert {row[2]: row[8] for row in rows} == {"good": "0", "bad": "7", "killed": "-11"}
    for ending, text in (("out", "out\n"), ("err", "err\n")):
        link = Path(good.path, f"good.{ending}")
        assert link.is_symlink()
        assert ".smartsim/telemetry/study/" in str(link.resolve())
        assert link.read_text() == text


def test_each_run_keeps_its_own_outputs(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings("sh", ["-c", "echo $$"]))
    exp.start(model)
    first = Path(model.path, "m.out").resolve()
    exp.start(model)
    second = Path(model.path, "m.out").resolve()
    assert first != second
    assert first.read_text() != second.read_text()


def test_a_file_in_the_way_of_an_output_is_an_error_before_anything_starts(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings("touch", "ran"))
    Path(model.path).mkdir()
    Path(model.path, "m.out").write_text("precious")
    with pytest.raises(FileExistsError, match=r"m\.out is in the way"):
        exp.start(model)
    assert Path(model.path, "m.out").read_text() == "precious"
    assert not Path(model.path, "ran").exists()


@pytest.mark.parametrize("telemetry", [True, False])
def test_a_program_that_vanished_is_named_with_the_command(exp: Experiment, tmp_path: Path, telemetry: bool) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    model = exp.create_model("m", exp.create_run_settings(str(program), ["--flag", "two words"]))
    program.unlink()
    (exp.telemetry.enable if telemetry else exp.telemetry.disable)()
    with pytest.raises(ShellError) as caught:
        exp.start(model)
    assert "failed to launch" in str(caught.value)
    assert f"Command: {program} --flag 'two words'" in str(caught.value)
    assert f"there is no program {program}" in str(caught.value)
    assert exp.get_status(model) == [FAILED]


def test_missing_programs_are_found_out_when_settings_are_made(exp: Experiment, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        exp.create_run_settings("no-such-program")
    plain = tmp_path / "plain"
    plain.write_text("")
    with pytest.raises(TypeError, match=str(plain)):
        exp.create_run_settings(str(plain))


def test_parameters_reach_files_and_arguments(exp: Experiment, tmp_path: Path) -> None:
    source = tmp_path / "in.sh"
    source.write_text('#!/bin/sh\necho a=;a; b=;b; unknown=;c; "$@"\n')
    source.chmod(0o755)
    ensemble = exp.create_ensemble(
        "e",
        params={"a": [1, 2], "b": ["x y", r"\1"]},
        params_as_args=["b"],
        run_settings=exp.create_run_settings("sh", ["in.sh"]),
    )
    ensemble.attach_generator_files(to_configure=[str(source)])
    exp.generate(ensemble)
    exp.start(ensemble)
    outputs = [Path(member.path, f"{member.name}.out").read_text() for member in ensemble]
    assert len(outputs) == 4
    assert Path(ensemble.models[0].path, "in.sh").read_text() == source.read_text().replace(";a;", "1").replace(
        ";b;", "x y"
    )
    assert Path(ensemble.models[0].path, "in.sh").stat().st_mode & 0o777 == 0o755
    record = (tmp_path / "smartsim_params.txt").read_text()
    assert "Model name: e_3" in record
    assert "e/e_3/in.sh" in record


def test_a_tag_of_the_user_s_choice(exp: Experiment, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a=$X$ b=$Y$ c=$Z$\n")
    model = exp.create_model("m", exp.create_run_settings("true"), params={"X": 1, "Y": "$X$"})
    model.attach_generator_files(to_configure=str(source))
    exp.generate(model, tag="$")
    assert Path(model.path, "in.txt").read_text() == "a=1 b=$X$ c=$Z$\n"


def test_files_are_copied_linked_and_kept_executable(exp: Experiment, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "data").write_text("data")
    script, big = tmp_path / "script.sh", tmp_path / "big"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    big.write_text("big")
    model = exp.create_model("m", exp.create_run_settings("true"))
    model.attach_generator_files(to_copy=[str(tree), str(script)], to_symlink=[str(big)])
    exp.generate(model)
    place = Path(model.path)
    assert (place / "deep" / "data").read_text() == "data"
    assert (place / "script.sh").stat().st_mode & 0o111
    assert (place / "big").readlink() == big


def test_a_file_that_is_no_text_is_an_error_and_nothing_is_made(exp: Experiment, tmp_path: Path) -> None:
    source = tmp_path / "binary"
    source.write_bytes(b"a\xffb")
    model = exp.create_model("m", exp.create_run_settings("true"), params={"x": 1})
    model.attach_generator_files(to_configure=[str(source)])
    with pytest.raises(ParameterWriterError, match=r"binary.*not UTF-8 text.*0xff at offset 1"):
        exp.generate(model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["binary"]


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    exp = Experiment("study", str(tmp_path))
    model = exp.create_model("m", exp.create_run_settings("true"), path=str(tmp_path / "file" / "m"))
    with pytest.raises(SmartSimError, match=r"Cannot generate .*file.*Not a directory"):
        exp.generate(model)
    with pytest.raises(SmartSimError, match=r"Cannot prepare m: .*file.*Not a directory.*Nothing was started"):
        exp.start(model)


def test_an_experiment_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study").write_text("")
    exp = Experiment("study")
    with pytest.raises(SmartSimError, match="Cannot write into .*study.*Nothing was started"):
        exp.start(exp.create_model("m", exp.create_run_settings("true")))


def test_a_closed_experiment_starts_nothing(tmp_path: Path) -> None:
    with Experiment("study", str(tmp_path)) as exp:
        model = exp.create_model("m", exp.create_run_settings("true"))
    with pytest.raises(SmartSimError, match="closed"):
        exp.start(model)


def test_what_runs_is_not_generated_under_its_feet(exp: Experiment) -> None:
    database = exp.create_database(port=0)
    model = exp.create_model("m", exp.create_run_settings("sleep", "100"))
    exp.start(database, model, block=False)
    for entity, name in ((database, "orchestrator_0"), (model, "m")):
        with pytest.raises(SmartSimError, match=f"{name} is running in its directory"):
            exp.generate(entity, overwrite=True)
    assert database.is_active()


def test_an_experiment_whose_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study").write_text("")
    exp = Experiment("study")
    with pytest.raises(FileExistsError, match="study is a file"):
        exp.generate(exp.create_model("m", exp.create_run_settings("true")))


def test_a_directory_that_exists_is_an_error_of_both_families(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings("true"))
    exp.generate(model)
    with pytest.raises(EntityExistsError) as caught:
        exp.generate(model)
    assert isinstance(caught.value, FileExistsError)
    assert isinstance(caught.value, SmartSimError)


def test_a_database_directory_is_kept_unless_told_otherwise(exp: Experiment) -> None:
    database = exp.create_database(port=0)
    exp.generate(database)
    kept, stale = Path(database.path, "dump.rdb"), Path(database.path, "orchestrator_0.out")
    kept.write_text("data")
    stale.write_text("old output")
    exp.generate(database)
    assert kept.exists()
    assert not stale.exists()
    exp.generate(database, overwrite=True)
    assert not kept.exists()


@pytest.mark.parametrize("style", tabulate_formats)
def test_the_summary_has_every_style(exp: Experiment, style: str) -> None:
    exp.start(exp.create_model("m", exp.create_run_settings("true")))
    table = exp.summary(style)
    assert "STATUS_COMPLETED" in table.replace("\\_", "_")
    assert "Returncode" in table


def test_a_style_that_does_not_exist_is_an_error_that_lists_them(exp: Experiment) -> None:
    with pytest.raises(ValueError, match=r"'fancy'.*github"):
        exp.summary("fancy")


def test_poll_returns_when_nothing_is_active_and_logs_what_is(
    exp: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    exp.poll()
    model = exp.create_model("m", exp.create_run_settings("sleep", "0.3"))
    exp.start(model, block=False)
    exp.poll(interval=0.1, verbose=True)
    assert exp.finished(model)
    assert "): SmartSimStatus.STATUS_RUNNING" in capsys.readouterr().out


def test_the_launch_summary_tells_what_is_about_to_run(exp: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    settings = exp.create_run_settings("echo", ["hello"])
    model = exp.create_model("m", settings, params={"x": 5})
    ensemble = exp.create_ensemble("e", run_settings=settings, replicas=2)
    exp.start(model, ensemble, summary=True)
    out = capsys.readouterr().out
    for text in ("=== Launch Summary ===", "Experiment: study", "Members: 2", "x = 5", "Database Status: inactive"):
        assert text in out


def test_experiments_threads_and_databases_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            directory = tmp_path / str(number)
            directory.mkdir()
            with Experiment(f"study{number}", str(directory)) as exp:
                database = exp.create_database(port=0, db_identifier=f"db{number}")
                model = exp.create_model("m", exp.create_run_settings("sh", ["-c", f"echo $SSDB_db{number}"]))
                exp.start(database, model, block=True)
                assert Path(model.path, "m.out").read_text().strip() == database.get_address()[0]
                assert exp.get_status(model, database) == [COMPLETED, RUNNING]
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert failures == []


def test_one_experiment_serves_several_threads(exp: Experiment) -> None:
    def work(number: int) -> None:
        model = exp.create_model(f"m{number}", exp.create_run_settings("sh", ["-c", f"exit {number}"]))
        exp.start(model, block=False)
        statuses[number] = exp.wait(model, timeout=60.0)[0]

    statuses: dict[int, SmartSimStatus] = {}
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {number: FAILED if number else COMPLETED for number in range(8)}


def test_who_waits_in_another_thread_learns_of_a_launch_that_failed(exp: Experiment, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    long = exp.create_model("long", exp.create_run_settings("sleep", "0.5"))
    settings = exp.create_run_settings(str(program))
    missing = exp.create_ensemble("missing", run_settings=settings, replicas=2)
    program.unlink()
    exp.start(long, block=False)
    waiting = threading.Thread(target=exp.wait, kwargs={"timeout": 60.0})
    waiting.start()
    with pytest.raises(ShellError):
        exp.start(missing)
    waiting.join(timeout=30.0)
    assert not waiting.is_alive()


def test_who_waits_for_a_job_has_been_told_of_its_end(exp: Experiment) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    told: list[str] = []

    class Slow(logging.Handler):
        """A terminal that takes its time."""

        def emit(self, record: logging.LogRecord) -> None:
            if "STATUS_COMPLETED" in record.getMessage():
                begun.set()
                assert goes_on.wait(60.0)
                told.append(record.getMessage())

    model = exp.create_model("m", exp.create_run_settings("true"))
    terminal = Slow()
    logging.getLogger("SmartSim").addHandler(terminal)
    try:
        exp.start(model, block=False)
        assert begun.wait(60.0)
        threading.Timer(0.2, goes_on.set).start()
        exp.wait(model, timeout=60.0)
        assert len(told) == 1
    finally:
        goes_on.set()
        logging.getLogger("SmartSim").removeHandler(terminal)


def test_one_entity_started_by_two_threads_runs_once(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings("sh", ["-c", "echo run >> runs; sleep 0.5"]))
    barrier, refusals = threading.Barrier(4), []

    def work() -> None:
        barrier.wait(timeout=30.0)
        try:
            exp.start(model, block=False)
        except SSUnsupportedError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exp.wait(model, timeout=60.0)
    assert len(refusals) == 3
    assert Path(model.path, "runs").read_text() == "run\n"


def test_stop_ends_members_and_says_so(exp: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("sleep", "100"), replicas=3)
    exp.start(ensemble, block=False)
    assert exp.get_status(ensemble) == [RUNNING] * 3
    exp.stop(ensemble)
    assert exp.get_status(ensemble) == [CANCELLED] * 3
    assert "Stopping model e_0 with job name e_0-" in capsys.readouterr().out


def test_overwriting_never_removes_what_lies_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    monkeypatch.chdir(outside)
    directory = tmp_path / "study"
    directory.mkdir()
    exp = Experiment("study", str(directory))
    settings = exp.create_run_settings("true")
    for entity in (
        Orchestrator(port=0),
        exp.create_model("m", settings, path=str(outside)),
        exp.create_model("n", settings, path=str(directory)),
        exp.create_ensemble("e", run_settings=settings, replicas=1, path=str(outside)),
    ):
        with pytest.raises(SmartSimError, match="outside of the experiment"):
            exp.generate(entity, overwrite=True)
    assert (outside / "precious").exists()


def test_a_file_that_was_attached_and_is_gone_costs_nothing(exp: Experiment, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.write_text("x")
    model = exp.create_model("m", exp.create_run_settings("true"))
    exp.generate(model)
    Path(model.path, "result").write_text("precious")
    model.attach_generator_files(to_copy=[str(source)])
    source.unlink()
    with pytest.raises(FileNotFoundError, match=r"data, which is attached to m, is not there any more"):
        exp.generate(model, overwrite=True)
    assert Path(model.path, "result").exists()


def test_arguments_that_are_not_utf_8_arrive(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings("printf", ["%s", "a\udcff"]))
    exp.start(model)
    assert Path(model.path, "m.out").read_bytes() == b"a\xff"
    (record,) = [
        record
        for record in JsonlEventLog(f"{exp.exp_path}/.smartsim/events.jsonl").replay()
        if record["event"] == "submitted"
    ]
    assert record["command"] == [*model.run_settings.exe, "%s", "a\udcff"]


def test_standard_output_may_be_any_object(exp: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tee:
        def write(self, text: str) -> int:
            return len(text)

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stdout", Tee())
    model = exp.create_model("m", exp.create_run_settings("true"))
    exp.start(model)
    assert exp.get_status(model) == [COMPLETED]


def test_leaving_while_another_thread_starts_leaves_nothing_running(tmp_path: Path) -> None:
    for number in range(10):
        directory = tmp_path / str(number)
        directory.mkdir()
        refused: list[SmartSimError] = []
        with Experiment("study", str(directory)) as exp:
            settings = exp.create_run_settings("sleep", "100")
            ensemble = exp.create_ensemble("e", run_settings=settings, replicas=3)

            def work(exp: Experiment, ensemble: Ensemble, refused: list[SmartSimError]) -> None:
                try:
                    exp.start(ensemble, block=False)
                except SmartSimError as error:
                    refused.append(error)

            thread = threading.Thread(target=work, args=(exp, ensemble, refused))
            thread.start()
        thread.join(timeout=60.0)
        expected = SmartSimStatus.STATUS_NEVER_STARTED if refused else CANCELLED
        assert exp.get_status(ensemble) == [expected] * 3


def test_members_added_by_hand_move_in_with_their_ensemble(exp: Experiment) -> None:
    settings = exp.create_run_settings("true")
    ensemble = exp.create_ensemble("e", run_settings=settings, replicas=1)
    ensemble.add_model(exp.create_model("own", settings))
    exp.generate(ensemble)
    assert Path(exp.exp_path, "e", "own").is_dir()
    exp.start(ensemble)
    assert exp.get_status(ensemble) == [COMPLETED] * 2


def test_the_record_tells_the_whole_story(exp: Experiment) -> None:
    import json

    exp.start(exp.create_model("m", exp.create_run_settings("sh", ["-c", "exit 3"])))
    records = [json.loads(line) for line in Path(exp.exp_path, ".smartsim", "events.jsonl").read_text().splitlines()]
    records = [record for record in records if "step" in record]
    assert [record["event"] for record in records] == ["submitted", "started", "ended"]
    assert records[0]["command"][1:] == ["-c", "exit 3"]
    assert (records[2]["returncode"], records[2]["status"]) == (3, "Failed")
    assert records[0]["at"] <= records[1]["at"] <= records[2]["at"]
