"""A client of databases for people: a line, a reply."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from smartsim.domain.addresses import Address
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    import redis

    from smartsim.ports.database_server import Credentials

_CONNECT_TIMEOUT: Final = 10.0  # seconds; a command may take as long as it likes
_LEAVING: Final = ("quit", "exit")
_ENDLESS: Final = ("monitor", "subscribe", "psubscribe", "ssubscribe")


def converse(address: Address, credentials: Credentials, lines: TextIO, output: TextIO) -> None:
    """Send what is typed to a database, and print what it replies, until the lines end.

    Args:
        address: of a server. Where that sends a command on to another of its cluster, so is it.
        credentials: to log in with.
        lines: the commands, quoted as in a shell.
        output: takes the replies.

    Raises:
        SmartSimError: a server does not answer.
    """
    asks = lines.isatty()
    if asks:
        with suppress(ImportError):
            import readline  # noqa: F401 - gives `input` a history
    with closing(_Session(address, credentials)) as session:
        while (line := _next(lines, f"{session.address}> " if asks else None)) is not None:
            try:
                words = shlex.split(line)
            except ValueError as error:
                print(f"(error) {error}", file=output, flush=True)
                continue
            if not words:
                continue
            if words[0].lower() in _LEAVING:
                return
            print(shown(session.execute(words)), file=output, flush=True)


class _Session:
    """A connection to a server, which follows to another of its cluster.

    Attributes:
        address: of the server.
    """

    def __init__(self, address: Address, credentials: Credentials) -> None:
        self.address = address
        self._credentials = credentials
        self._connection = self._connect()

    def _connect(self) -> redis.Redis:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        address = self.address
        endpoint: dict[str, Any] = (
            {"unix_socket_path": address.path} if address.is_unix else {"host": address.host, "port": address.port}
        )
        connection = redis.Redis(
            **endpoint,
            username=self._credentials.username,
            password=self._credentials.password,
            socket_timeout=None,
            socket_connect_timeout=_CONNECT_TIMEOUT,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,  # transactions belong to a connection
        )
        connection.response_callbacks.clear()  # replies are shown as they come
        return connection

    def execute(self, words: Sequence[str]) -> Any:
        """Return the reply to a command; an error that it replies is one, too.

        Raises:
            SmartSimError: the server does not answer.
        """
        import redis
        from redis.exceptions import MovedError

        if words[0].lower() in _ENDLESS:
            return ValueError(f"{words[0]} wants a client program, such as valkey-cli")
        try:
            return self._connection.execute_command(*words)
        except MovedError as moved:
            self.close()
            self.address = Address.tcp(moved.host, moved.port)
            self._connection = self._connect()
            return self.execute(words)
        except redis.ResponseError as error:
            return error
        except (redis.RedisError, OSError) as error:
            raise SmartSimError(f"The database at {self.address} does not answer: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def shown(reply: Any, indent: str = "") -> str:
    r"""Return a reply as text.

    What a terminal might take for orders to it is escaped.

    Example:
        >>> print(shown([b"one", 2, None, [b"\x1b"]]))
        1) one
        2) (integer) 2
        3) (nil)
        4) 1) \x1b
    """
    if reply is None:
        return "(nil)"
    if isinstance(reply, Exception):
        return f"(error) {_printable(str(reply))}"
    if isinstance(reply, bytes):
        return _printable(reply.decode("utf-8", "backslashreplace").replace("\r\n", "\n"))
    if not isinstance(reply, list):
        return f"(integer) {reply}"
    if not reply:
        return "(empty array)"
    parts = []
    for number, part in enumerate(reply, 1):
        head = f"{number}) "
        parts.append(f"{head}{shown(part, indent + ' ' * len(head))}")
    return f"\n{indent}".join(parts)


def _printable(text: str) -> str:
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _next(lines: TextIO, prompt: str | None) -> str | None:
    """Return the next line; None at the end."""
    if prompt is None:
        return lines.readline() or None
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        print()  # noqa: T201 - what comes next begins a line
        return None
