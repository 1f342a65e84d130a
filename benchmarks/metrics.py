"""What sampling costs: the share of a core that its thread takes, and what servers do for it.

Many jobs that sleep, and a database of three shards, for some time; the CPU time of the thread, and of the commands
that it gives, is that of the operating system and of the servers themselves.

    python benchmarks/metrics.py [jobs] [seconds]
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import redis

from smartsim import Experiment
from smartsim.database import Orchestrator
from smartsim.testing import VirtualClock

JOBS = 500
SECONDS = 60
SHARDS = 3
ASKED = ("info", "slowlog|get", "scan", "memory|usage", "type", "auth", "hello", "client|setname", "client|setinfo")


def sampler_cpu() -> float:
    """Return the seconds of CPU that the thread has used."""
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "smartsim-sampler"]
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def server_cpu(database: Orchestrator) -> float:
    """Return the seconds that servers have spent on what sampling asks of them."""
    service = database.service
    assert service is not None
    used = 0.0
    for shard in service.shards:
        credentials = service.credentials
        with redis.Redis(
            shard.address.host, shard.address.port, username=credentials.username, password=credentials.password
        ) as client:
            statistics: Any = client.info("commandstats")
        used += sum(statistics.get(f"cmdstat_{name}", {"usec": 0})["usec"] for name in ASKED) / 1e6
    return used


def main() -> None:
    """Measure."""
    jobs, seconds = (int(word) for word in (*sys.argv[1:], *(str(JOBS), str(SECONDS))[len(sys.argv) - 1 :]))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as directory, Experiment("bench", directory) as exp:
        database = exp.create_database(port=0, interface="lo", db_nodes=SHARDS)
        ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("sleep", ["86400"]), replicas=jobs)
        exp.generate(ensemble)
        exp.start(database, ensemble, block=False)
        metrics = Path(directory, ".smartsim/metrics.jsonl")
        while not metrics.exists() or b'"step": "e_' not in metrics.read_bytes():
            time.sleep(0.1)
        before, asked, size = sampler_cpu(), server_cpu(database), metrics.stat().st_size
        time.sleep(seconds)
        share = (sampler_cpu() - before) / seconds
        print(f"{jobs} jobs, {SHARDS} servers, {seconds} s: the thread takes {share:.2%} of a core")
        print(f"servers spend {(server_cpu(database) - asked) / seconds:.3%} of a core on it, all together")
        print(f"the file grows by {(metrics.stat().st_size - size) / seconds / 1024:.1f} KiB/s at first")
    print(f"after a week: {week(jobs) / 2**20:.0f} MiB")


def week(jobs: int) -> float:
    """Return the bytes of a week, as the pace and the sizes of lines say."""
    from smartsim.app.sampling import Pace

    clock = VirtualClock()
    ends = clock.monotonic() + 7 * 86400
    paces = {60.0: 700.0 * SHARDS, 300.0: 85.0 * jobs}  # bytes of a sample, by the longest pause
    total = 0.0
    for longest, size in paces.items():
        pace, now = Pace(clock.monotonic(), 5.0, longest), clock.monotonic()
        while now < ends:
            total += size * pace.is_due(now)
            now += 5.0
    return total


if __name__ == "__main__":
    main()
