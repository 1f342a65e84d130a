"""jsrun of JSM: resource sets on the hosts of a job, after its documents (it was never run beside this)."""

from __future__ import annotations

import getopt
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence

from clusters.lookalikes.starting import Program, run

_SHORT = "n:a:c:g:r:m:p:b:d:l:E:U:h:o:k:"
_LONG = {
    "nrs": "n",
    "tasks_per_rs": "a",
    "cpu_per_rs": "c",
    "gpu_per_rs": "g",
    "rs_per_host": "r",
    "memory_per_rs": "m",
    "np": "p",
    "bind": "b",
    "launch_distribution": "d",
    "latency_priority": "l",
    "env": "E",
    "erf_input": "U",
    "chdir": "h",
    "stdio_stdout": "o",
    "stdio_stderr": "k",
    "stdio_mode": "stdio_mode",
    "smpiargs": "smpiargs",
}
_APPLICATION = re.compile(r"^app (\d+) *: *(.*)$", re.MULTILINE)
_SETS = re.compile(r"^(?:rank: *(?P<rank>\d+)|(?P<count>\d+)): *\{.*\} *: *app (?P<app>\d+)$", re.MULTILINE)


def main(argv: Sequence[str]) -> int:
    """Run the ranks of a program, or of several that a file describes."""
    pairs, command = getopt.getopt(list(argv), _SHORT, [f"{name}=" for name in _LONG])
    options = {_LONG.get(name.lstrip("-"), name.lstrip("-")): value for name, value in pairs}
    variables = [value for name, value in pairs if name in ("-E", "--env")]
    environment = dict(value.partition("=")[::2] for value in variables if "=" in value)
    hosts = _hosts()
    sets, tasks, per_host = int(options.get("n", 1)), int(options.get("a", 1)), int(options.get("r", 0))
    if options.get("n") == "ALL_HOSTS":
        sets = len(hosts) * (per_host or 1)
    if (per_host and sets > per_host * len(hosts)) or sets * int(options.get("c", 1)) > sum(hosts.values()):
        sys.stderr.write("ERROR: Not enough resources available to schedule job.\n")
        return 1

    def program(argv: list[str], ranks: int) -> Program:
        outputs = options.get("o", ""), options.get("k", "")
        return Program(argv, ranks, per_host * tasks, environment, options.get("h", "."), list(hosts), *outputs)

    if "U" not in options:
        return run("jsrun", [program(command, int(options.get("p", sets * tasks)))])
    with open(options["U"], encoding="utf-8") as stream:
        text = stream.read()
    commands = {number: shlex.split(line) for number, line in _APPLICATION.findall(text)}
    ranks = Counter({match["app"]: int(match["count"] or 1) for match in _SETS.finditer(text)})
    return run("jsrun", [program(commands[number], ranks[number]) for number in sorted(commands)])


def _hosts() -> dict[str, int]:
    """Return the slots of a job on each of its hosts, without the launch node, which comes first."""
    file = os.environ.get("LSB_DJOB_HOSTFILE")
    if file is None:
        sys.stderr.write("Error: jsrun has to run in a job.\n")
        sys.exit(1)
    with open(file, encoding="utf-8") as stream:
        slots = Counter(stream.read().split())
    return dict(list(slots.items())[1:])
