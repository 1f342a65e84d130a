"""The batch settings of PBS and LSF: what their setters make, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from smartsim.domain.errors import SSConfigError
from smartsim.domain.settings.bsub import BsubBatchSettings
from smartsim.domain.settings.qsub import QsubBatchSettings


class TestPbs:
    def test_every_setter(self) -> None:
        settings = QsubBatchSettings()
        settings.set_nodes(2)
        settings.set_ncpus(8)
        settings.set_walltime("1-12:00:00")
        settings.set_queue("qq")
        settings.set_account("acc")
        settings.set_resource("filesystems", "home:eagle")
        assert settings.directives() == (
            "-l nodes=2:ncpus=8",
            "-l walltime=36:00:00",
            "-l filesystems=home:eagle",
            "-q qq",
            "-A acc",
        )

    def test_every_argument(self) -> None:
        settings = QsubBatchSettings(2, 8, "01:00:00", "qq", "acc", {"place": "scatter"}, {"j": "oe"})
        assert settings.directives() == (
            "-l nodes=2:ncpus=8",
            "-l place=scatter",
            "-l walltime=01:00:00",
            "-j oe",
            "-q qq",
            "-A acc",
        )

    def test_each_host_has_its_chunks_with_their_cpus(self) -> None:
        settings = QsubBatchSettings(ncpus=8, resources={"select": 4})
        settings.set_hostlist(["h1", "h2"])
        assert settings.directives() == ("-l select=2:ncpus=8:host=h1+2:ncpus=8:host=h2",)

    def test_hosts_that_cannot_share_the_nodes_evenly_are_told(self) -> None:
        settings = QsubBatchSettings(nodes=3)
        settings.set_hostlist(["h1", "h2"])
        with pytest.raises(SSConfigError, match="nodes=3 cannot be spread evenly over the 2 hosts h1, h2"):
            settings.directives()

    @pytest.mark.parametrize("time", ["90", "30:00", "100:00:00", "00:00:03.5"])
    def test_walltimes_stay_as_pbs_takes_them(self, time: str) -> None:
        assert QsubBatchSettings(1, time=time).directives()[1] == f"-l walltime={time}"

    def test_other_walltimes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="'1h' is not a walltime of PBS"):
            QsubBatchSettings(1, time="1h")

    def test_nodes_are_counted_once(self) -> None:
        with pytest.raises(ValueError, match="nodes was given twice: as nodes=2 and as resources"):
            QsubBatchSettings(nodes=2, resources={"nodes": 3})
        with pytest.raises(SSConfigError, match="select and nodes exclude each other"):
            QsubBatchSettings(nodes=2, resources={"select": 3})
        with pytest.raises(SSConfigError, match="select and nodes exclude each other"):
            QsubBatchSettings(resources={"select": 3}).set_nodes(1)

    def test_nodes_are_counted_at_all(self) -> None:
        with pytest.raises(SSConfigError, match="must say how many nodes"):
            QsubBatchSettings(queue="debug").directives()

    @pytest.mark.parametrize("resources", [{"select": "2"}, {"nodes": 1.5}, {"mem": None}, {3: 4}, [1]])
    def test_resources_of_another_type_are_refused(self, resources: Any) -> None:
        with pytest.raises(TypeError):
            QsubBatchSettings(resources=resources)

    def test_resources_are_the_settings_own(self) -> None:
        given: dict[str, str | int] = {"select": 1}
        settings = QsubBatchSettings(resources=given)
        given["select"] = 2
        settings.resources["select"] = 3
        assert settings.resources == {"select": 1}

    def test_an_option_has_a_value(self) -> None:
        with pytest.raises(ValueError, match="the option h of qsub has no value"):
            QsubBatchSettings(1, batch_args={"h": None}).directives()

    def test_a_list_in_a_resource_stays_one_value(self) -> None:
        settings = QsubBatchSettings(resources={"select": 1, "software": "a,b"})
        assert settings.directives()[1] == """-l 'software="a,b"'"""


class TestLsf:
    def test_every_setter(self) -> None:
        settings = BsubBatchSettings()
        settings.set_walltime("10:00:00")
        settings.set_nodes(2)
        settings.set_tasks(4)
        settings.set_hostlist(["h1", "h2"])
        settings.set_queue("qq")
        settings.set_project("P1")
        settings.set_smts(4)
        assert settings.format_batch_args() == ["-nnodes 2", "-n 4", '-m "h1 h2"', "-q qq", "-alloc_flags smt4"]
        assert settings.directives() == ("-W 10:00", "-P P1", *settings.format_batch_args())
        assert (settings.walltime, settings.project) == ("10:00", "P1")

    def test_the_account_is_the_project(self) -> None:
        assert BsubBatchSettings(account="P2").project == "P2"
        assert BsubBatchSettings(project="P1").directives() == ("-P P1",)

    @pytest.mark.parametrize(
        ("given", "taken"),
        [
            ("01:00", "01:00"),
            ("90", "90"),
            ("15/hostA", "15/hostA"),
            ("01:00:00", "01:00"),
            ("00:00:30", "00:01"),
            ("1-12:00:01", "36:01"),
            ("100:00:00", "100:00"),
        ],
    )
    def test_walltimes_are_whole_minutes_and_never_shorter(self, given: str, taken: str) -> None:
        assert BsubBatchSettings(time=given).directives() == (f"-W {taken}",)

    @pytest.mark.parametrize("time", ["soon", "1:2:3:4", "1h"])
    def test_other_walltimes_are_refused(self, time: str) -> None:
        with pytest.raises(ValueError, match="is not a walltime of LSF"):
            BsubBatchSettings(time=time)

    @pytest.mark.parametrize(
        ("flags", "smts", "formatted"),
        [
            ("nvme", 0, "nvme"),
            ("nvme", 4, '"nvme smt4"'),
            ("smt1", 4, "smt1"),
            ('"nvme smt1"', 4, '"nvme smt1"'),
            (None, 2, "smt2"),
        ],
    )
    def test_hardware_threads_are_an_allocation_flag(self, flags: str | None, smts: int, formatted: str) -> None:
        settings = BsubBatchSettings(batch_args={"alloc_flags": flags}, smts=smts)
        assert settings.directives() == (f"-alloc_flags {formatted}",)

    def test_expert_mode_drops_the_easy_settings(self) -> None:
        settings = BsubBatchSettings(nodes=2, batch_args={"ln_slots": 1, "core_isolation": 2})
        settings.set_expert_mode_req("1*{select[LN]} + 42*{select[CN]span[ptile=42]}", 43)
        assert settings.expert_mode
        assert settings.directives() == (
            "-core_isolation 2",
            "-csm y",
            '-R "1*{select[LN]} + 42*{select[CN]span[ptile=42]}"',
            "-n 43",
        )
        assert settings.batch_args["nnodes"] == "2"

    @pytest.mark.parametrize(("requirement", "slots", "error"), [(None, 1, TypeError), ("x", 0, ValueError)])
    def test_a_refused_requirement_changes_nothing(self, requirement: Any, slots: int, error: type[Exception]) -> None:
        settings = BsubBatchSettings(nodes=2)
        with pytest.raises(error):
            settings.set_expert_mode_req(requirement, slots)
        assert settings.directives() == ("-nnodes 2",)

    def test_hardware_threads_are_counted(self) -> None:
        with pytest.raises(ValueError, match="smts must be at least 0"):
            BsubBatchSettings(smts=-1)

    def test_a_flag_has_no_value(self) -> None:
        assert BsubBatchSettings(batch_args={"core_isolation": None}).directives() == ("-core_isolation",)
