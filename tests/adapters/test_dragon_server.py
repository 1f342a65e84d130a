"""The server of a Dragon runtime without Dragon: who is connected, and goes."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path

from smartsim.adapters.wlm.dragon.placement import DragonNode, Wish
from smartsim.adapters.wlm.dragon.server import TOKEN, Server
from smartsim.adapters.wlm.dragon.steps import RankedStep
from smartsim.adapters.wlm.dragon.wire import Connection

RANKS = 8


def test_ranks_that_are_sent_away_as_their_driver_has_gone_are_no_end_of_the_server(tmp_path: Path) -> None:
    (tmp_path / TOKEN).write_bytes(b"secret")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def connected() -> socket.socket:
            stack.enter_context(socket.create_connection(listener.getsockname()))
            return stack.enter_context(listener.accept()[0])

        caller = connected()
        server = Server(str(tmp_path), caller, [DragonNode("n", tuple(range(RANKS)))])
        stack.callback(server._selector.close)
        stack.callback(server._listener.close)
        for descriptor in (server._wake, server._parent):
            stack.callback(os.close, descriptor)
        (driver,) = server._peers
        for _ in range(RANKS):
            server._add(Connection(connected(), b"secret", serves=True))
        step = RankedStep("s", ["x"], "/", "o", "e", {}, (), Wish(1, RANKS))
        server._steps.submit(driver, [step], is_left=False)
        ranks = server._peers - {driver}
        for index, peer in enumerate(ranks):
            server._steps.made(step.ranks[index], index)
            peer.rank = server._steps.ready(peer, "s", index)
        server._flush()
        assert server.unsent == set()

        caller.shutdown(socket.SHUT_WR)
        driver.tell({"event": "progress"})
        server.unsent |= ranks  # they have just said something
        server._flush()
        (first,) = server._peers  # which has been told to start its program
        assert first.rank is step.ranks[0]
        server.lose(first)
        assert not server._steps
        server._flush()
        assert server.unsent == set()
