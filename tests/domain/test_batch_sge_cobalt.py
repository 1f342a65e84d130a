"""The batch settings of Grid Engine and Cobalt: what their setters make, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from smartsim.domain.errors import LauncherUnsupportedFeature, SSConfigError
from smartsim.domain.settings.cobalt import CobaltBatchSettings
from smartsim.domain.settings.sge import SgeQsubBatchSettings


class TestGridEngine:
    def test_every_setter(self) -> None:
        settings = SgeQsubBatchSettings()
        settings.set_account("acc")
        settings.set_project("proj")
        settings.set_threads_per_pe(2)
        settings.set_walltime("01:00:00")
        settings.set_memory_per_pe("2G")
        settings.set_ngpus(1)
        settings.set_hyperthreading()
        settings.set_ncpus(8)
        settings.set_pe_type("mpi")
        settings.update_context_variables("ac", "FOO", 1)
        settings.update_context_variables("dc", "BAR")
        settings.set_resource("exclusive", "true")
        assert settings.directives() == (
            "-pe mpi 8",
            "-ac FOO=1",
            "-dc BAR",
            "-l h_rt=01:00:00",
            "-l mem=2G",
            "-l gpu=1",
            "-l threads=1",
            "-l exclusive=true",
            "-v OMP_NUM_THREADS=2",
            "-A acc",
            "-P proj",
        )

    def test_every_argument(self) -> None:
        settings = SgeQsubBatchSettings("1-00:00:00", 4, "smp", "acc", "#!/bin/sh", {"mem": "1G"}, {"m": "n"})
        assert settings.directives() == ("-pe smp 4", "-l mem=1G", "-l h_rt=24:00:00", "-m n", "-A acc")
        assert settings.shebang == "#!/bin/sh"

    def test_a_login_shell_is_the_default(self) -> None:
        assert SgeQsubBatchSettings().shebang == "#!/bin/bash -l"

    @pytest.mark.parametrize("shebang", ["/bin/sh", "#!/bin/sh\nrm"])
    def test_another_first_line_is_refused(self, shebang: str) -> None:
        with pytest.raises(ValueError, match="begins with|more than one line"):
            SgeQsubBatchSettings(shebang=shebang)

    def test_hyperthreading_can_be_switched_off(self) -> None:
        settings = SgeQsubBatchSettings()
        settings.set_hyperthreading(False)
        assert settings.directives() == ("-l threads=0",)

    @pytest.mark.parametrize("arguments", [{"ncpus": 4}, {"pe_type": "mpi"}])
    def test_slots_and_environment_need_each_other(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(SSConfigError, match="slots and a parallel environment need each other"):
            SgeQsubBatchSettings(**arguments).directives()

    @pytest.mark.parametrize(("setter", "value"), [("nodes", 1), ("queue", "all.q"), ("hostlist", ["h1"])])
    def test_what_grid_engine_chooses_itself_is_refused(self, setter: str, value: Any) -> None:
        with pytest.raises(LauncherUnsupportedFeature, match="Grid Engine"):
            getattr(SgeQsubBatchSettings(), f"set_{setter}")(value)

    def test_nothing_asked_for_is_nothing_refused(self) -> None:
        settings = SgeQsubBatchSettings()
        settings.set_nodes(0)
        settings.set_queue("")
        assert settings.directives() == ()

    @pytest.mark.parametrize("time", ["10:30", "soon", "1:2:3:4"])
    def test_other_walltimes_are_refused(self, time: str) -> None:
        with pytest.raises(ValueError, match="is not a walltime of Grid Engine"):
            SgeQsubBatchSettings(time=time)

    def test_context_variables_are_added_set_or_deleted(self) -> None:
        settings = SgeQsubBatchSettings()
        with pytest.raises(ValueError, match="'xx' is no action on context variables"):
            settings.update_context_variables("xx", "A", 1)
        with pytest.raises(SSConfigError, match="A is to be deleted: it takes no value"):
            settings.update_context_variables("dc", "A", 1)
        settings.update_context_variables("sc", "A", 0)
        settings.update_context_variables("ac", "B")
        assert settings.directives() == ("-sc A=0", "-ac B")

    def test_a_list_cannot_be_a_value(self) -> None:
        with pytest.raises(ValueError, match="a comma begins the next"):
            SgeQsubBatchSettings(resources={"x": "a,b"}).directives()

    @pytest.mark.parametrize("resources", [{"mem": None}, {3: 4}, [1]])
    def test_resources_of_another_type_are_refused(self, resources: Any) -> None:
        with pytest.raises(TypeError):
            SgeQsubBatchSettings(resources=resources)

    def test_an_option_has_a_value(self) -> None:
        with pytest.raises(ValueError, match="the option h of qsub has no value"):
            SgeQsubBatchSettings(batch_args={"h": None}).directives()


class TestCobalt:
    def test_every_setter(self) -> None:
        settings = CobaltBatchSettings(batch_args={"attrs": "mcdram=flat"})
        settings.set_nodes(2)
        settings.set_walltime("1-00:30:30")
        settings.set_queue("debug")
        settings.set_account("proj")
        settings.set_hostlist(["12", "13"])
        assert settings.directives() == (
            "--attrs=mcdram=flat:location=12,13",
            "-n 2",
            "-t 1471",
            "-q debug",
            "-A proj",
        )

    @pytest.mark.parametrize("arguments", [{"nodes": 1}, {"time": "01:00:00"}])
    def test_nodes_and_walltime_are_wanted(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(SSConfigError, match="Cobalt takes no job without"):
            CobaltBatchSettings(**arguments).directives()

    def test_they_may_be_options(self) -> None:
        assert CobaltBatchSettings(batch_args={"nodecount": 1, "time": 0}).directives() == ("--nodecount=1", "--time=0")

    def test_a_value_with_blanks_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no values with blanks"):
            CobaltBatchSettings(1, "5", batch_args={"jobname": "a b"}).directives()

    @pytest.mark.parametrize("time", ["soon", "1:2:3:4:5"])
    def test_other_walltimes_are_refused(self, time: str) -> None:
        with pytest.raises(ValueError, match="is not a walltime of Cobalt"):
            CobaltBatchSettings(1, time)
