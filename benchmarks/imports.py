"""What `import smartsim` costs, against an interpreter that imports nothing.

Run: python benchmarks/imports.py
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 15
STATEMENTS = {
    "nothing": "pass",
    "import smartsim": "import smartsim",
    "from smartsim import Experiment": "from smartsim import Experiment",
    "import smartredis": "import smartredis",
    "import numpy": "import numpy",
}


def main() -> None:
    """Compare, statement by statement in turn, so that a machine that slows down slows all of them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
            seconds[name].append(time.perf_counter() - begin)
    base = statistics.median(seconds["nothing"])
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, medians of {ROUNDS} rounds")
    for name, rounds in seconds.items():
        median = statistics.median(rounds)
        print(f"{name:<32} {median * 1e3:6.1f} ms   {(median - base) * 1e3:6.1f} ms more than nothing")


if __name__ == "__main__":
    main()
