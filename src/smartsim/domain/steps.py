"""What a workload manager starts: one step per model, ensemble member and shard."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from smartsim.domain.resources import ResourceRequest


@dataclass(frozen=True)
class Batch:
    """A job of a scheduler, in which steps run side by side.

    Args:
        name: unique within the workload manager; the scheduler shows it.
        submit: the program that submits, with nothing that belongs to one job.
        directives: the options of the job, each as it stands in the script behind the scheduler's prefix (``#SBATCH``).
        preamble: lines that the script runs before anything else.
        shebang: the script's first line.
        script: the path of the script; absolute.
        directory: where the job keeps what became of its steps; absolute, and seen by all nodes.
        stdout: the file that takes what the script itself writes to standard output; so `stderr`.
        array: whether each step is an element of a job array, with the options for itself; otherwise all steps run in
            one job.
    """

    name: str
    submit: tuple[str, ...]
    directives: tuple[str, ...]
    preamble: tuple[str, ...]
    script: str
    directory: str
    stdout: str
    stderr: str
    shebang: str = "#!/bin/bash"
    array: bool = False


@dataclass(frozen=True)
class Step:
    """One thing to start, as plain data.

    Args:
        name: unique within the workload manager; `names.step_name` makes it.
        argv: the program and its arguments, containers included, exactly as they are to arrive.
        launch: words that come before `argv`: the run command and its options, as the settings render them.
        environment: variables laid over those of the driver.
        working_directory: absolute.
        stdout: the file that takes standard output; so `stderr`.
        batch: the job that it runs in; steps that are submitted together with equal ones share it. None starts it from
            the driver: here, or in the allocation that the driver runs in.
        ranks: the kind of program that starts its ranks: see `RunSettings.ranks`; empty without one.
        request: what it needs of an allocation; None when it does not say, and is not placed.
        cpus: the CPUs of this machine that it is bound to, by number; none leaves it unbound.
    """

    name: str
    argv: tuple[str, ...]
    launch: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str
    stdout: str
    stderr: str
    batch: Batch | None = None
    ranks: str = ""
    request: ResourceRequest | None = None
    cpus: tuple[int, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command line."""
        return self.launch + self.argv


def together(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield the steps of each job in the place of its first, and those without a job as they stand in between."""
    by_batch: dict[Batch, list[Step]] = {}
    for step in steps:
        if step.batch is not None:
            by_batch.setdefault(step.batch, []).append(step)
    for batch, group in itertools.groupby(steps, key=lambda step: step.batch):
        if batch is None:
            yield list(group)
        elif batch in by_batch:
            yield by_batch.pop(batch)
