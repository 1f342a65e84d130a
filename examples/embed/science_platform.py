"""A platform that runs its users' experiments its own way: on slots, with a bill, and each user in a directory.

    python examples/embed/science_platform.py <directory>

The experiment is the same as anywhere; what it asks of the world goes through adapters of the platform.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from slots import SlottedWorkloadManager
from sqlite_log import SqliteEventLog
from tenant_files import TenantFileSystem

from smartsim import Experiment
from smartsim.embedding import system_adapters
from smartsim.error import SmartSimError

SLOTS = 2
COUNT_PRIMES = """
import sys
limit = int(sys.argv[1].removeprefix("--limit="))
print(sum(all(number % other for other in range(2, number)) for number in range(2, limit)))
"""


def run_for(user: str, directory: Path, study: Callable[[Experiment], None]) -> SqliteEventLog:
    """Run a user's study.

    Args:
        user: their name.
        directory: of the platform; the user gets one below it.
        study: what they want to do with an experiment.

    Returns:
        The record of what happened.
    """
    home = directory / user
    home.mkdir(parents=True, exist_ok=True)
    log = SqliteEventLog(str(directory / "events.sqlite"), user)
    system = system_adapters("local", str(home))
    adapters = replace(
        system,
        workload_manager=SlottedWorkloadManager(system.workload_manager, SLOTS),
        files=TenantFileSystem(system.files, str(home)),
        event_log=log,
    )
    with Experiment("study", exp_path=str(home), adapters=adapters) as exp:
        study(exp)
    return log


def primes(exp: Experiment) -> None:
    """Count primes up to four limits."""
    settings = exp.create_run_settings(sys.executable, exe_args=["-c", COUNT_PRIMES])
    limits = {"limit": [1000, 2000, 3000, 4000]}
    ensemble = exp.create_ensemble("primes", params=limits, run_settings=settings, params_as_args=["limit"])
    exp.generate(ensemble, overwrite=True)
    exp.start(ensemble, block=True)


def trespass(exp: Experiment) -> None:
    """Try to write into somebody else's directory."""
    settings = exp.create_run_settings("true")
    exp.generate(exp.create_model("trespasser", settings, path=str(Path(exp.exp_path).parent / "ada" / "mine")))


def main() -> None:
    """Serve two users."""
    directory = Path(sys.argv[1]).resolve()
    log = run_for("ada", directory, primes)
    for entity, seconds in log.bill():
        print(f"ada pays for {entity}: {seconds:.2f} s")
    try:
        run_for("eve", directory, trespass)
    except SmartSimError as error:
        print(f"eve is refused: {error}")


if __name__ == "__main__":
    main()
