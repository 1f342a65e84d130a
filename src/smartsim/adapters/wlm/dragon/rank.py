"""What a process of Dragon runs for a rank: it starts the program when it is told to, and ends it when it is to end.

The program has a session of its own, so that a stop reaches everything that it started: Dragon itself would signal one
process. When the server is not there any more, neither is the runtime, and the program ends, too.
"""

from __future__ import annotations

import os
import socket
import sys
from queue import SimpleQueue
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.dragon.link import Link
from smartsim.adapters.wlm.dragon.wire import Address, Message, establish
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started
from smartsim.domain.steps import Step

if TYPE_CHECKING:
    from smartsim.adapters.wlm.dragon.steps import Rank

_CALL = 30.0  # seconds to reach the server
# Neither the site's packages nor variables that are meant for the program have a say in how this process starts.
_START = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {__name__} import main; main()"
_PACKAGES = os.path.abspath(__file__).removesuffix("/" + __name__.replace(".", "/") + ".py")


def words(token_file: str, server: Address, rank: Rank) -> list[str]:
    """Return the words with which Python runs this program.

    Args:
        token_file: of the runtime.
        server: where it listens.
        rank: the one.
    """
    host, port = server
    step = rank.step
    place = [token_file, host, str(port), step.name, str(rank.index), step.directory, step.stdout, step.stderr]
    return ["-I", "-S", "-c", _START, _PACKAGES, *place, *step.argv]


def main() -> None:
    """Run the rank that the words of the command line describe."""
    token_file, host, port, name, index, directory, stdout, stderr, *argv = sys.argv[1:]
    with open(token_file, "rb") as stream:
        token = stream.read()
    # The first rank empties the files; the others write behind what is there.
    manager = LocalWorkloadManager(appends=index != "0")
    step = Step(name, tuple(argv), (), {}, directory, stdout, stderr)
    news: SimpleQueue[Message | JobEvent | None] = SimpleQueue()
    connection = establish(socket.create_connection((host, int(port)), timeout=_CALL), token, _CALL)
    link = Link(connection, told=news.put, lost=lambda _: news.put(None))
    link.send({"rank": int(index), "step": name})
    _supervise(step, manager, link, news)
    link.close()
    manager.close()


def _supervise(
    step: Step, manager: LocalWorkloadManager, link: Link, news: SimpleQueue[Message | JobEvent | None]
) -> None:
    runs = False
    while True:
        match news.get():
            case {"go": True, "unset": list(unset)}:
                runs = True
                for name in unset:
                    os.environ.pop(name, None)
                manager.submit([step], lambda _, event: news.put(event))
            case {"stop": float(grace)}:
                manager.stop([step.name], grace)
            case None if runs:
                manager.stop([step.name], 0.0)
            case None:
                return
            case Started():
                link.send({"started": True})
            case Refused(error=error):
                link.send({"refused": str(error).rpartition("Error from shell: ")[2]})
                return
            case Ended(returncode=returncode):
                link.send({"ended": returncode})
                return
