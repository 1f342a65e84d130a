"""A driver function that deserves a test: it runs a sweep, and tries again what fails."""

from __future__ import annotations

from smartsim import Experiment
from smartsim.status import SmartSimStatus

PRESSURES = [1, 2, 5, 10]


def run_sweep(exp: Experiment, attempts: int = 3) -> list[str]:
    """Run one simulation per pressure.

    Args:
        exp: in which they run.
        attempts: how often each may be tried.

    Returns:
        The names of those that failed every time.
    """
    settings = exp.create_run_settings("simulate", exe_args=["--quiet"])
    sweep = exp.create_ensemble(
        "sweep", params={"pressure": PRESSURES}, run_settings=settings, params_as_args=["pressure"]
    )
    exp.generate(sweep)
    left = sweep.models
    for _ in range(attempts):
        exp.start(*left, block=True)
        left = [model for model in left if exp.get_status(model) != [SmartSimStatus.STATUS_COMPLETED]]
        if not left:
            break
    return [model.name for model in left]
