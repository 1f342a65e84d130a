"""The server inside a Dragon runtime: ``dragon ... python -m smartsim.adapters.wlm.dragon.server``.

It starts the ranks of steps as processes of Dragon, and follows them, for as long as a driver is connected or a step
runs; then it ends, and the runtime with it. It calls the driver that started it; others find it at its own address.
"""

from __future__ import annotations

import os
import posixpath
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from smartsim.adapters.wlm.dragon import rank as rank_program
from smartsim.adapters.wlm.dragon.placement import DragonNode, Wish
from smartsim.adapters.wlm.dragon.steps import Rank, RankedStep, Stage, Steps
from smartsim.adapters.wlm.dragon.wire import Address, Connection, Message
from smartsim.adapters.wlm.exits import exit_descriptor

if TYPE_CHECKING:
    from socket import socket as Socket  # noqa: N812 - the class, beside the module of its name

TOKEN = "token"  # noqa: S105 - the name of a file in the directory of the runtime
_CALL = 60.0  # seconds to reach the driver
_PATIENCE = 60.0  # seconds for a peer to prove that it knows the token, and for a rank to be heard of
_TICK = 1.0  # seconds between looks at who has no patience left
_QUIET = 0.1  # seconds that a driver has to take a last message
_REASON = 300  # characters of what Dragon says of a process that it cannot make


class _Peer:
    """A driver, or a rank: whoever is connected."""

    def __init__(self, server: Server, connection: Connection, *, drives: bool = False) -> None:
        self.connection = connection
        self.since = time.monotonic()
        self.drives = drives
        self.rank: Rank | None = None
        self._server = server

    def tell(self, message: Message) -> None:
        self.connection.send(message)
        self._server.unsent.add(self)

    def dismiss(self) -> None:
        self._server.lose(self)


class Server:
    """Serves drivers and ranks, in one thread; another one has Dragon make processes.

    Args:
        directory: of the runtime, where the token is.
        caller: the connection to the driver that started it.
        nodes: of the runtime.

    Attributes:
        unsent: the peers to which something is to be sent.
    """

    def __init__(self, directory: str, caller: Socket, nodes: Sequence[DragonNode]) -> None:
        self._token_file = posixpath.join(directory, TOKEN)
        with open(self._token_file, "rb") as stream:
            self._token = stream.read()
        self.unsent: set[_Peer] = set()
        self._peers: set[_Peer] = set()
        self._nodes = nodes
        self._to_make: SimpleQueue[Rank | None] = SimpleQueue()
        self._steps = Steps(nodes, self._to_make.put)
        self._inherited: frozenset[str] = frozenset()
        self._made_at: dict[Rank, float] = {}
        self._news: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._parent = exit_descriptor(os.getppid())
        # At the address that reaches the driver, be it this machine's loopback or a network.
        self._listener = socket.create_server((caller.getsockname()[0], 0), backlog=socket.SOMAXCONN)
        self._selector = selectors.DefaultSelector()
        for source in (self._wake, self._parent, self._listener):
            self._selector.register(source, selectors.EVENT_READ)
        self._add(Connection(caller, self._token, serves=True), drives=True)

    def run(self) -> None:
        """Serve until nothing runs and no driver is left."""
        maker = threading.Thread(target=self._make_processes, name="smartsim-dragon-maker")
        maker.start()
        try:
            while self._steps or any(peer.drives for peer in self._peers):
                self._flush()
                waits = any(not peer.connection.is_trusted for peer in self._peers) or self._steps.unheard()
                for key, events in self._selector.select(_TICK if waits else None):
                    self._handle(key, events)
                self._expire()
            self._flush()
        finally:
            self._to_make.put(None)
            maker.join()

    def lose(self, peer: _Peer) -> None:
        """Do without a peer that has gone, or is sent away."""
        if peer not in self._peers:
            return
        self._peers.discard(peer)
        self.unsent.discard(peer)
        self._selector.unregister(peer.connection)
        peer.connection.close()
        if peer.rank is not None:
            self._steps.ended(peer.rank, None)
        elif peer.drives:
            self._steps.forget(peer)

    # Connections

    def _add(self, connection: Connection, *, drives: bool = False) -> None:
        peer = _Peer(self, connection, drives=drives)
        self._peers.add(peer)
        self.unsent.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _handle(self, key: selectors.SelectorKey, events: int) -> None:
        peer = key.data
        if key.fd == self._parent:
            os._exit(1)  # the runtime is gone; ranks that lose their connection end their programs
        elif key.fd == self._wake:
            os.eventfd_read(self._wake)
            with suppress(Empty):
                while True:
                    self._news.get_nowait()()
        elif peer is None:
            with suppress(OSError):
                self._add(Connection(self._listener.accept()[0], self._token, serves=True))
        elif peer in self._peers:
            if events & selectors.EVENT_WRITE:
                self.unsent.add(peer)
            if events & selectors.EVENT_READ:
                self._receive(peer)

    def _receive(self, peer: _Peer) -> None:
        try:
            messages = peer.connection.receive()
        except OSError:
            self.lose(peer)
            return
        self.unsent.add(peer)
        for message in messages:
            if peer.rank is not None:
                self._take_rank(peer.rank, message)
            elif peer.drives:
                self._take_driver(peer, message)
            else:
                self._meet(peer, message)

    def _flush(self) -> None:
        """Send what sockets take; those that take no more are asked to tell when they do."""
        for peer in list(self.unsent):
            if peer not in self._peers:  # it was sent away since, because of another one that has gone
                self.unsent.discard(peer)
                continue
            try:
                peer.connection.flush()
            except OSError:
                self.lose(peer)
                continue
            waits = peer.connection.has_unsent
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if waits else 0)
            self._selector.modify(peer.connection, events, peer)
            self.unsent.discard(peer)

    def _expire(self) -> None:
        now = time.monotonic()
        for peer in [peer for peer in self._peers if not peer.connection.is_trusted]:
            if now > peer.since + _PATIENCE:
                self.lose(peer)
        for rank in self._steps.unheard():
            if now > self._made_at.get(rank, now) + _PATIENCE:
                self._steps.failed(
                    rank, f"Dragon started a process for it, which was not heard of in {_PATIENCE:.0f} s"
                )

    # What peers say

    def _meet(self, peer: _Peer, message: Message) -> None:
        """Learn who a peer is."""
        match message:
            case {"driver": True}:
                peer.drives = True
                self._welcome(peer)
            case {"rank": int(index), "step": str(name)}:
                peer.rank = self._steps.ready(peer, name, index)
                if peer.rank is None:
                    self.lose(peer)
                else:
                    self._made_at.pop(peer.rank, None)

    def _welcome(self, peer: _Peer) -> None:
        host, port = self._listener.getsockname()[:2]
        peer.tell({"event": "welcome", "address": [host, port]})

    def _take_driver(self, peer: _Peer, message: Message) -> None:
        match message:
            case {"driver": True, "environment": list(names)}:  # the one that started the runtime
                self._inherited = frozenset(names)
                self._welcome(peer)
            case {"submit": list(steps), "environment": dict(environment), "is_left": bool(is_left)}:
                self._steps.submit(peer, [self._step(step, environment) for step in steps], is_left=is_left)
            case {"stop": list(names), "grace": float(grace)}:
                self._steps.stop(names, grace)
            case {"follow": str(name)}:
                puid = self._steps.follow(peer, name)
                peer.tell({"event": "followed", "step": name, "id": puid})
            case {"leave": True}:
                others = any(other.drives for other in self._peers if other is not peer)
                self._steps.forget(peer)
                peer.tell({"event": "left", "is_last": not others and not self._steps})
                peer.drives = False

    def _step(self, words: Mapping[str, Any], environment: Mapping[str, str]) -> RankedStep:
        wish = words["wish"]
        variables = {**environment, **words["environment"]}
        return RankedStep(
            name=words["name"],
            argv=words["argv"],
            directory=words["directory"],
            stdout=words["stdout"],
            stderr=words["stderr"],
            environment=variables,
            # Dragon lays the environment of a process over that of the runtime, which is that of whoever started it.
            unset=self._inherited - variables.keys(),
            wish=Wish(wish["nodes"], wish["tasks_per_node"], tuple(wish["cpus"]), tuple(wish["gpus"])),
        )

    def _take_rank(self, rank: Rank, message: Message) -> None:
        match message:
            case {"started": True}:
                self._steps.started(rank)
            case {"refused": str(reason)}:
                self._steps.failed(rank, reason)
            case {"ended": returncode}:
                self._steps.ended(rank, returncode)

    # What Dragon does

    def _make_processes(self) -> None:
        """Have Dragon make processes, one after the other, until there is a None among the ranks."""
        from dragon.infrastructure.policy import Policy
        from dragon.infrastructure.process_desc import ProcessOptions
        from dragon.native.process import Process

        host, port = self._listener.getsockname()[:2]
        while (rank := self._to_make.get()) is not None:
            if rank.stage is Stage.ENDED:  # it is not wanted any more
                continue
            step = rank.step
            try:
                process = Process(
                    sys.executable,
                    args=rank_program.words(self._token_file, (host, port), rank),
                    cwd="/",
                    env=dict(step.environment),
                    stdout=Process.DEVNULL,
                    policy=Policy(
                        placement=Policy.Placement.HOST_NAME,
                        host_name=self._nodes[rank.place].name,
                        cpu_affinity=list(step.wish.cpus),
                        gpu_affinity=list(step.wish.gpus),
                    ),
                    # So that the program can use Dragon itself.
                    options=ProcessOptions(make_inf_channels=True),
                )
                process.start()
            except Exception as error:  # noqa: BLE001 - whatever Dragon raises, the step is refused, with its words
                reason = f"Dragon cannot make a process for it: {str(error)[-_REASON:]}"
                self._post(partial(self._steps.failed, rank, reason))
            else:
                self._post(partial(self._made, rank, process.puid))

    def _made(self, rank: Rank, puid: int) -> None:
        self._made_at[rank] = time.monotonic()
        self._steps.made(rank, puid)

    def _post(self, news: Callable[[], None]) -> None:
        """Have something done in the thread that serves."""
        self._news.put(news)
        os.eventfd_write(self._wake, 1)


def _nodes() -> list[DragonNode]:
    """Return the nodes of the runtime that this process runs in."""
    from dragon.native.machine import Node, System

    nodes = [Node(identifier) for identifier in System().nodes]
    return [DragonNode(node.hostname, tuple(node.cpus), tuple(node.gpus or ())) for node in nodes]


def command(directory: str, driver: Address) -> list[str]:
    """Return the command of a server.

    Args:
        directory: of the runtime.
        driver: where the driver listens that it is to call.
    """
    host, port = driver
    return [sys.executable, "-P", "-m", __name__, directory, host, str(port)]


def main() -> None:
    """Run the server that the words of the command line describe."""
    directory, host, port = sys.argv[1:]
    # First of all, so that a driver which has gone keeps nobody waiting.
    with socket.create_connection((host, int(port)), timeout=_CALL) as caller:
        Server(directory, caller, _nodes()).run()


if __name__ == "__main__":
    main()
