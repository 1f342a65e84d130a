"""Stopping and restarting what a driver runs, from another process: for those who look at an experiment."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smartsim.adapters.control.unix import UnixControlChannel
from smartsim.domain.errors import SmartSimError
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.app.control import Action
    from smartsim.domain.history import History, JobHistory
    from smartsim.ports.control_channel import Address, ControlChannel, Message

_FIND_TIMEOUT = 5.0  # seconds in which a driver that lives says whether it knows an entity
_TIMEOUT = 90.0  # seconds in which it does what it is asked for: as long as `Experiment.stop` waits, and some more


class RemoteControl:
    """Asks the drivers of an experiment. They have to run on this machine, as this user, with telemetry on.

    Args:
        directory: of the experiment.
        history: what its record tells, for the reason when no driver answers. It may grow meanwhile.
        channel: leads to the drivers.

    Example:
        >>> control = RemoteControl(reader.directory, reader.history)  # doctest: +SKIP
        >>> control.stop("heat_17", by="ada@nid0001 with smart watch")  # doctest: +SKIP
        'heat_17 was stopped'
    """

    def __init__(self, directory: str, history: History, channel: ControlChannel | None = None) -> None:
        self._directory = os.path.abspath(directory)
        self._history = history
        self._channel = UnixControlChannel() if channel is None else channel

    def stop(self, entity: str, by: str) -> str:
        """End an entity as `Experiment.stop` does, and wait for its end.

        Args:
            entity: the name of a model or member; of an ensemble or a database, for all of it.
            by: who wants that, in words; it is recorded.

        Returns:
            What was done, in words.

        Raises:
            SmartSimError: nothing was, or it is not known to have been; the message says why and what to do.
        """
        return self._ask("stop", entity, by)

    def restart(self, entity: str, by: str) -> str:
        """Start an entity that has ended again, as `Experiment.start` does: in the same directory.

        The driver goes on with what it does; a `start(block=True)` that is under way waits for what was restarted, too.

        Args:
            entity: the name of a model or member; of an ensemble or a database, for all of it.
            by: who wants that, in words; it is logged.

        Returns:
            What was done, in words.

        Raises:
            SmartSimError: nothing was, or it is not known to have been; the message says why and what to do.
        """
        return self._ask("restart", entity, by)

    def _ask(self, action: Action, entity: str, by: str) -> str:
        addresses = self._addresses()
        found: list[tuple[float, Address]] = []
        troubles: list[str] = []
        for address in addresses:
            if not address.is_here:
                continue
            try:
                known = self._request(address, {"action": "find", "entity": entity}, _FIND_TIMEOUT)
            except SmartSimError as error:
                troubles.append(str(error))
                continue
            match known:
                case {"submitted_at": float(at)}:
                    found.append((at, address))
        if not found:
            raise SmartSimError("; ".join([self._why_nobody(action, entity, addresses), *troubles]))
        # Several drivers may have started it, one after the other.
        _, address = max(found, key=lambda pair: pair[0])
        answer = self._request(address, {"action": action, "entity": entity, "by": by}, _TIMEOUT)
        match answer:
            case {"done": str(done)}:
                return done
            case None:
                raise SmartSimError(f"The driver, process {address.pid}, ended before it could {action} {entity}")
        raise SmartSimError(str(answer.get("error")))

    def _addresses(self) -> Sequence[Address]:
        try:
            return self._channel.addresses(self._directory)
        except OSError as error:
            raise SmartSimError(f"The drivers in {self._directory} cannot be asked: {error}") from error

    def _request(self, address: Address, request: Message, timeout: float) -> Message | None:
        who = f"the driver, process {address.pid} on {address.host}"
        try:
            answer = self._channel.ask(self._directory, address, request, timeout)
        except TimeoutError:
            raise SmartSimError(
                f"{who}, has not answered within {timeout:.0f} s. It may be suspended, or very busy; what it does then "
                "will be in the record"
            ) from None
        except (OSError, ValueError) as error:
            raise SmartSimError(f"{who}, cannot be asked: {error}") from error
        if request["action"] == "find" and answer is not None and "error" in answer:
            raise SmartSimError(str(answer["error"]))
        return answer

    # Why nobody does it, out of what the record tells

    def _why_nobody(self, action: Action, entity: str, addresses: Sequence[Address]) -> str:
        jobs = self._jobs(entity)
        if not jobs:
            return f"There is no {entity!r} in the record of {self._directory}"
        if all(job.status is SmartSimStatus.STATUS_NEVER_STARTED for job in jobs):
            return f"{entity} was never started"
        if action == "stop" and all(job.is_final for job in jobs):
            return f"{entity} has ended already: {', '.join(sorted({job.status.value for job in jobs}))}"
        elsewhere = sorted({address.host for address in addresses if not address.is_here})
        if elsewhere:
            return f"The driver that could {action} {entity} runs on {' or '.join(elsewhere)}: do this there"
        opened = self._history.experiment
        whose = "" if opened is None else f" (the last one was process {opened.pid} on {opened.host})"
        way = (
            "start it with a driver script"
            if action == "restart"
            else "what drivers left running is listed by `smart ps` and ended by `smart reap`, or by the scheduler"
        )
        return (
            f"No driver of {self._directory} can be asked to {action} {entity}{whose}: it has ended, or was started "
            f"with telemetry off; {way}"
        )

    def _jobs(self, name: str) -> list[JobHistory]:
        """Return the latest starts of what a name means."""
        if name in self._history.entities:
            return self._history.entities[name][-1:]
        latest = [jobs[-1] for jobs in list(self._history.entities.values())]
        return [job for job in latest if name in (job.facts.ensemble, job.facts.database)]


def user_here() -> str:
    """Return who asks from here, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # nobody has a name for this number, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
