"""Connections of clients: databases that do not say what they are, and clients that are closed early."""

from __future__ import annotations

import asyncio

import pytest

from servers import scripted_server
from smartsim.client import AsyncClient, Client, RedisConnectionError, RedisDatabaseError
from smartsim.domain.addresses import Address

PONG = b"+PONG\r\n"
REFUSED = b"-NOPERM User app has no permissions to run the 'info' command\r\n"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SSDB", "SR_DB_TYPE", "SSKEYIN", "SSKEYOUT", "SR_DB_USERNAME", "SR_DB_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def _connect(*, waiting: bool) -> None:
    if waiting:
        Client().close()
    else:
        asyncio.run(AsyncClient().connect())


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize("reply", [REFUSED, b"+\r\n+\r\n", b":1\r\n"])
def test_a_database_that_does_not_say_what_it_is_is_none(
    environment: pytest.MonkeyPatch, reply: bytes, *, waiting: bool
) -> None:
    with scripted_server([PONG, reply]) as server:
        environment.setenv("SSDB", str(server.address))
        with pytest.raises(RedisConnectionError, match=rf"SR_DB_TYPE.*\n.*{server.address}"):
            _connect(waiting=waiting)


def test_a_client_that_is_closed_before_its_first_call_stays_closed() -> None:
    async def close_first() -> None:
        client = AsyncClient(cluster=False, address="127.0.0.1:1")
        await client.close()
        with pytest.raises(RedisDatabaseError, match="closed"):
            await client.key_exists("k")

    asyncio.run(close_first())


def test_a_client_that_is_closed_while_it_connects_stays_closed() -> None:
    async def close_meanwhile(address: Address) -> None:
        client = AsyncClient(cluster=False, address=str(address))
        connecting = asyncio.create_task(client.connect())
        await asyncio.sleep(0)  # it has begun
        await client.close()
        await connecting
        with pytest.raises(RedisDatabaseError, match="closed"):
            await client.key_exists("k")

    with scripted_server([PONG, b":0\r\n"]) as server:
        asyncio.run(close_meanwhile(server.address))
