"""Members of ensembles as their events tell of them: what views are tested with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from smartsim.domain import record
from smartsim.domain.history import History
from smartsim.domain.resources import Share

ENDS = ("Completed", "Failed", "Cancelled")
TIMES = st.integers(0, 50).map(float)


@dataclass(frozen=True)
class Member:
    """One start of an entity; times are None for what did not happen.

    Args:
        name: of the entity.
        group: its ensemble; "db" is a database; empty for neither.
        run_id: of the call of `start`.
        submitted: when.
        started: how long after that.
        ended: how long after the last of them.
        status: at its end.
        params: its parameters.
        node: that it was placed on.
    """

    name: str
    group: str = ""
    run_id: str = "r1"
    submitted: float = 0.0
    started: float | None = None
    ended: float | None = None
    status: str = "Completed"
    params: tuple[tuple[str, str], ...] = ()
    node: str = "n1"

    def events(self, number: int) -> list[record.Event]:
        """Return what is recorded of it.

        Args:
            number: tells its start from others.
        """
        step, is_server = f"{self.name}-{number}", self.group == "db"
        submitted = record.Submitted(
            self.submitted,
            self.name,
            "DBNode" if is_server else "Model",
            step,
            run_id=self.run_id,
            ensemble="" if is_server else self.group,
            database=self.group if is_server else "",
            params=dict(self.params),
        )
        events: list[record.Event] = [submitted]
        at = self.submitted
        if self.started is not None:
            at += self.started
            events.append(record.Started(at, self.name, step, str(number), (Share(self.node, 1, ()),)))
        if self.ended is not None:
            code = 0 if self.status == "Completed" else 1
            events.append(record.Ended(at + self.ended, self.name, step, self.status, code, f"it was {self.status}"))
        return events


def recorded(members: Sequence[Member]) -> History:
    """Return what the record of some starts tells."""
    history = History()
    for number, member in enumerate(members):
        for event in member.events(number):
            history.add(event)
    return history


MEMBERS = st.lists(
    st.builds(
        Member,
        name=st.sampled_from([f"{stem}_{number}" for stem in ("m", "Ünï") for number in (0, 1, 2, 9, 10, 11)]),
        group=st.sampled_from(["e", "f", "db", ""]),
        run_id=st.sampled_from(["r1", "r2"]),
        submitted=TIMES,
        started=st.none() | TIMES,
        ended=st.none() | TIMES,
        status=st.sampled_from(ENDS),
        params=st.dictionaries(
            st.sampled_from(["x", "y"]),
            st.sampled_from(["1", "10", "9", "-2.5", "1e3", "nan", "cg", "<b>"]),
            max_size=2,
        ).map(lambda params: tuple(params.items())),
        node=st.sampled_from(["n1", "node02"]),
    ),
    max_size=25,
)
"""Starts of entities, of which some have the same name, and so are later starts of the same entity."""
