"""Jobs for tests, which say of themselves what programs of their schedulers were recorded to say."""

from __future__ import annotations

from collections.abc import Mapping

from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.adapters.wlm.allocations.current import current_job
from smartsim.adapters.wlm.allocations.job import CurrentJob
from smartsim.ports.process_runner import Completed


def machine(*answers: tuple[tuple[str, ...], str]) -> ScriptedProcessRunner:
    return ScriptedProcessRunner(
        {argv[0]: argv[0] for argv, _ in answers}, {argv: Completed(0, text, "") for argv, text in answers}
    )


def job(scheduler: str, environment: Mapping[str, str], *answers: tuple[tuple[str, ...], str]) -> CurrentJob:
    found = current_job(scheduler, environment, machine(*answers))
    assert found is not None
    return found
