"""A shard in this process that gives out work prepared beforehand, for tests of what does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy.typing as npt

from smartsim.ports.work_source import Call, Check, Drop, Item, Kill, Program, Run, WorkSourceLostError


@dataclass(frozen=True)
class Answer:
    """What became of a job.

    Attributes:
        error: the text of its failure; empty when it went well.
        outputs: of a run, for each request.
        names: of the inputs and of the outputs that a check found.
    """

    error: str = ""
    outputs: tuple[tuple[npt.NDArray[Any], ...], ...] = ()
    names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


class InMemoryWorkSource:
    """A `WorkSource` that ends when all its work is done.

    Args:
        items: what there is to do.
        programs: those that the items name, by version.

    Attributes:
        answers: what became of the jobs, by their number.
        fetched: versions of the programs that were asked for, in order.
        greeting: the device and the versions of the frameworks that the worker said it has.
    """

    def __init__(self, items: Iterable[Item], programs: Mapping[int, Program]) -> None:
        self.answers: dict[int, Answer] = {}
        self.fetched: list[int] = []
        self.greeting: tuple[str, dict[str, str]] | None = None
        self._items = iter(items)
        self._programs = programs
        self._present: Item | None = None

    def hello(self, device: str, versions: Mapping[str, str]) -> None:
        """Say what this worker can run."""
        self.greeting = device, dict(versions)

    def next(self) -> Item:
        """Return what is to be done next."""
        if self.greeting is None or isinstance(self._present, Run | Call | Check):
            raise WorkSourceLostError(f"The shard refuses: a worker asks for more while it has {self._present}")
        self._present = next(self._items, None)
        if self._present is None:
            raise WorkSourceLostError("The shard has gone: nothing is left to do")
        return self._present

    def fetch(self) -> Program:
        """Return the program of the present job."""
        if self._present is None or isinstance(self._present, Drop | Kill):
            raise WorkSourceLostError("The shard refuses: there is no job")
        self.fetched.append(self._present.version)
        return self._programs[self._present.version]

    def done(self, job: int, microseconds: int, outputs: Sequence[npt.NDArray[Any]], rows: Sequence[int]) -> None:
        """Answer a `Run` or `Call`."""
        del microseconds
        cuts = [tuple(output.copy() for output in outputs)]
        if len(rows) > 1:
            pairs = pairwise((0, *accumulate(rows)))
            cuts = [tuple(output[begin:end].copy() for output in outputs) for begin, end in pairs]
        self._answer(job, Answer(outputs=tuple(cuts)))

    def checked(self, job: int, microseconds: int, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Answer a `Check`: the program is sound."""
        del microseconds
        self._answer(job, Answer(names=(tuple(inputs), tuple(outputs))))

    def fail(self, job: int, text: str) -> None:
        """Say that a job failed."""
        self._answer(job, Answer(error=text))

    def _answer(self, job: int, answer: Answer) -> None:
        if not isinstance(self._present, Run | Call | Check) or self._present.job != job:
            raise WorkSourceLostError(f"The shard refuses: {job} is not the worker's job")
        self.answers[job] = answer
        self._present = None
