"""Where each member of a group stands, a letter for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smartsim.domain.history import History
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.table import Query, members

LETTERS: Mapping[SmartSimStatus, str] = {
    SmartSimStatus.STATUS_NEW: "N",
    SmartSimStatus.STATUS_QUEUED: "Q",
    SmartSimStatus.STATUS_RUNNING: "R",
    SmartSimStatus.STATUS_PAUSED: "P",
    SmartSimStatus.STATUS_COMPLETED: "C",
    SmartSimStatus.STATUS_FAILED: "F",
    SmartSimStatus.STATUS_CANCELLED: "X",
    SmartSimStatus.STATUS_NEVER_STARTED: "-",
}


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The members of a group.

    Args:
        group: its name; empty for all entities.
        entities: the members, in the order in which they were submitted.
        states: one letter for each: N new, Q queued, R running, P paused, C completed, F failed, X cancelled, - never
            started.
    """

    group: str
    entities: tuple[str, ...]
    states: str


def heat_map(history: History, group: str) -> HeatMap:
    """Return where each member of a group stands.

    Args:
        history: of the experiment.
        group: an ensemble, a database or `table.MODELS`; empty for all entities.
    """
    jobs = members(history, Query(group=group))
    return HeatMap(group, tuple(job.facts.entity for job in jobs), "".join(LETTERS[job.status] for job in jobs))
