"""Programs that start the ranks of a parallel program: mpiexec of PALS, aprun of ALPS, and jsrun of JSM.

Ranks see the variables that the real ones set. Ranks of PALS look like Hydra's too (``PMI_RANK``).
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from clusters.lookalikes import jsrun
from clusters.lookalikes.starting import Program, run

_MPIEXEC = "n:d:l"
_MPIEXEC_LONG = [
    *(
        "np=",
        "ppn=",
        "depth=",
        "cpu-bind=",
        "gpu-bind=",
        "mem-bind=",
        "env=",
        "envlist=",
        "hostfile=",
        "hosts=",
        "wdir=",
    ),
    *("line-buffer", "transfer", "verbose"),
]
_APRUN = "n:N:d:L:e:qtT"
_APRUN_LONG = [
    *("pes=", "pes-per-node=", "cpus-per-pe=", "node-list=", "node-list-file=", "exclude-node-list=", "cpu-binding="),
    *("cc=", "memory-per-pe=", "cpu-time-limit=", "debug=", "wdir=", "quiet"),
]


def main(name: str, argv: Sequence[str]) -> int:
    """Run parallel programs; those of mpiexec and aprun are parted by ``:``."""
    if name == "jsrun":
        return jsrun.main(argv)
    failed = run(name, [_PARSERS[name](part) for part in _parts(argv)])
    if name == "aprun" and not {"-q", "--quiet"} & set(argv):
        sys.stdout.write("Application 3373484 resources: utime ~0s, stime ~0s, Rss ~5036, inblocks ~0, outblocks ~0\n")
    return failed


def _parts(argv: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in argv:
        if word == ":":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _mpiexec(argv: Sequence[str]) -> Program:
    pairs, rest = getopt.getopt(list(argv), _MPIEXEC, _MPIEXEC_LONG)
    options = {name.lstrip("-"): value for name, value in pairs}
    given = [value.partition("=")[::2] for name, value in pairs if name == "--env"]
    listed = [
        name for names in (value for option, value in pairs if option == "--envlist") for name in names.split(",")
    ]
    hosts = options["hosts"].split(",") if "hosts" in options else _lines(options.get("hostfile") or _node_file())
    return Program(
        rest,
        int(options.get("np") or options.get("n") or 1),
        int(options.get("ppn", 0)),
        {**{name: os.environ[name] for name in listed if name in os.environ}, **dict(given)},
        options.get("wdir", "."),
        hosts,
    )


def _aprun(argv: Sequence[str]) -> Program:
    words = ["--cc" if word == "-cc" else word for word in argv]
    pairs, rest = getopt.getopt(words, _APRUN, _APRUN_LONG)
    options = {name.lstrip("-"): value for name, value in pairs}
    listed = options.get("node-list") or options.get("L", "")
    return Program(
        rest,
        int(options.get("pes") or options.get("n") or 1),
        int(options.get("pes-per-node") or options.get("N") or 0),
        dict(value.partition("=")[::2] for name, value in pairs if name == "-e"),
        options.get("wdir", "."),
        listed.split(",") if listed else [],
    )


_PARSERS: Mapping[str, Callable[[Sequence[str]], Program]] = {"mpiexec": _mpiexec, "aprun": _aprun}


def _node_file() -> str:
    return os.environ.get("PBS_NODEFILE") or os.devnull


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as stream:
        return list(dict.fromkeys(stream.read().split()))
