"""Making connections to the database that wait."""

# mypy: disable-error-code="no-untyped-call"
# (redis-py leaves most of its methods without annotations)
from __future__ import annotations

from typing import Any

from redis.connection import Connection, UnixDomainSocketConnection

from smartsim.adapters.tensors.connection import TensorConnection
from smartsim.adapters.tensors.exchange import check_greeting, greeting
from smartsim.domain.addresses import Address


class TcpConnection(TensorConnection, Connection):
    """Over TCP."""


class UnixConnection(TensorConnection, UnixDomainSocketConnection):
    """Over a unix socket."""

    host = ""  # redis-py reads both when it reports that connecting took too long
    port = 0


def connect(
    address: Address,
    connect_timeout: float,
    reply_timeout: float,
    username: str | None = None,
    password: str | None = None,
) -> TensorConnection:
    """Return a connection to a database that has answered PING.

    Args:
        address: where it listens.
        connect_timeout: the longest wait for the connection, in seconds.
        reply_timeout: the longest wait for it to go on afterwards, in seconds.
        username: of the password; None for the default user.
        password: None for none.

    Raises:
        OSError, redis.ConnectionError, redis.TimeoutError: there is none, or not yet.
        redis.ResponseError: it does not want this client.
        GarbledReplyError: something else listens there.
    """

    def greet(connection: TensorConnection) -> None:
        connection.set_reply_timeout(reply_timeout)
        for command in greeting(username, password):
            check_greeting(command, connection.exchange([command])[0])

    options: dict[str, Any] = {
        "protocol": 2,
        "socket_connect_timeout": connect_timeout,
        "redis_connect_func": greet,
    }
    connection: TensorConnection = (
        UnixConnection(path=address.path, **options)
        if address.is_unix
        else TcpConnection(host=address.host, port=address.port, **options)
    )
    try:
        connection.connect()
    except BaseException:
        connection.disconnect()
        raise
    return connection
