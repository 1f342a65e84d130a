"""The batch settings of Slurm and Flux, and of every scheduler: what their setters make, and what they refuse."""

from __future__ import annotations

import pytest

from smartsim.domain.errors import LauncherUnsupportedFeature, SSReservedKeywordError
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.batch_flux import FluxBatchSettings
from smartsim.domain.settings.bsub import BsubBatchSettings
from smartsim.domain.settings.cobalt import CobaltBatchSettings
from smartsim.domain.settings.qsub import QsubBatchSettings
from smartsim.domain.settings.sbatch import SbatchSettings
from smartsim.domain.settings.sge import SgeQsubBatchSettings


class TestSlurm:
    def test_every_setter(self) -> None:
        settings = SbatchSettings(nodes=2, time="10:00:00", account="A3123", queue="debug")
        settings.set_cpus_per_task(4)
        settings.set_hostlist(["n1", "n2"])
        assert settings.format_batch_args() == [
            "--nodes=2",
            "--partition=debug",
            "--time=10:00:00",
            "--account=A3123",
            "--cpus-per-task=4",
            "--nodelist=n1,n2",
        ]
        assert settings.batch_cmd == "sbatch"

    def test_an_option_is_one_directive(self) -> None:
        settings = SbatchSettings(batch_args={"p": "q", "exclusive": None, "nice": 0, "comment": "a b"})
        assert settings.directives() == ("-p q", "--exclusive", "--nice=0", '--comment="a b"')

    def test_the_partition_is_the_queue(self) -> None:
        settings = SbatchSettings(queue="debug")
        settings.set_partition("long")
        assert settings.directives() == ("--partition=long",)

    @pytest.mark.parametrize(
        "time", ["5", "10:00", "36:00:00", "2-0", "1-12:30", "1-12:00:00", "0", "UNLIMITED", "infinite"]
    )
    def test_walltimes_stay_as_slurm_takes_them(self, time: str) -> None:
        assert SbatchSettings(time=time).directives() == (f"--time={time}",)

    @pytest.mark.parametrize("time", ["soon", "1:2:3:4", "1 hour", "-1", "1-", ":30"])
    def test_other_walltimes_are_refused(self, time: str) -> None:
        with pytest.raises(ValueError, match="is not a walltime of Slurm: write it as"):
            SbatchSettings(time=time)


class TestFlux:
    def test_every_setter(self) -> None:
        settings = FluxBatchSettings(batch_args={"requires": "haswell", "n": 4})
        settings.set_nodes(2)
        settings.set_walltime("00:30:00")
        settings.set_queue("debug")
        settings.set_account("bank")
        settings.set_hostlist(["h1", "h2"])
        assert settings.directives() == (
            "--requires=haswell",
            "-n 4",
            "--nodes=2",
            "--time-limit=1800s",
            "--queue=debug",
            "--bank=bank",
            "--requires=host:h1,h2",
        )

    @pytest.mark.parametrize("time", ["30", "1.5h", "90m", "2d", "100ms"])
    def test_durations_stay_as_flux_takes_them(self, time: str) -> None:
        assert FluxBatchSettings(time=time).directives() == (f"--time-limit={time}",)

    @pytest.mark.parametrize("time", ["soon", "10:00", "5w"])
    def test_other_walltimes_are_refused(self, time: str) -> None:
        with pytest.raises(ValueError, match="is not a walltime of Flux"):
            FluxBatchSettings(time=time)


EVERY = [
    (SbatchSettings(), "slurm"),
    (QsubBatchSettings(), "pbs"),
    (BsubBatchSettings(), "lsf"),
    (SgeQsubBatchSettings(), "sge"),
    (CobaltBatchSettings(), "cobalt"),
    (FluxBatchSettings(), "flux"),
]


@pytest.mark.parametrize(("settings", "scheduler"), EVERY)
class TestEveryScheduler:
    def test_it_is_named(self, settings: BatchSettings, scheduler: str) -> None:
        assert settings.scheduler == scheduler

    @pytest.mark.parametrize("setter", ["queue", "walltime", "account"])
    def test_empty_settings_are_ignored(self, settings: BatchSettings, scheduler: str, setter: str) -> None:  # noqa: ARG002 - names the case
        twin = settings.copy()
        getattr(twin, f"set_{setter}")("")
        assert twin.batch_args == {}

    @pytest.mark.parametrize("setter", ["walltime", "account"])
    def test_text_is_text(self, settings: BatchSettings, scheduler: str, setter: str) -> None:  # noqa: ARG002 - likewise
        with pytest.raises(TypeError, match="must be a str"):
            getattr(settings.copy(), f"set_{setter}")(5)

    def test_members_become_elements_of_an_array_where_there_are_some(
        self, settings: BatchSettings, scheduler: str
    ) -> None:
        twin = settings.copy()
        assert not twin.array
        if scheduler in {"cobalt", "flux"}:
            with pytest.raises(LauncherUnsupportedFeature, match=f"{scheduler} has none"):
                twin.set_array()
        else:
            twin.set_array()
            assert twin.copy().array
        twin.set_array(False)
        assert not twin.array

    def test_a_submission_that_is_none_is_refused(self, settings: BatchSettings, scheduler: str) -> None:
        option = {"slurm": "array", "pbs": "J", "lsf": "K", "sge": "t", "cobalt": "I", "flux": "cc"}[scheduler]
        twin = settings.copy()
        twin.batch_args |= {option: "0-3", "n": "1", "t": "1"} if scheduler == "cobalt" else {option: "0-3"}
        if scheduler == "pbs":
            twin.set_nodes(1)
        with pytest.raises(SSReservedKeywordError, match=option):
            twin.directives()
