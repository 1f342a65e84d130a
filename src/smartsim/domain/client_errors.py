"""The exceptions of the application client, under the names that application scripts catch.

They are `SmartSimError`s like all others, and `RuntimeError`s, because scripts written for the client of old catch
them as such.
"""

from __future__ import annotations

from smartsim.domain.errors import SmartSimError

_ADVICE = (
    ("tensor key is empty", "nothing is stored under this key: check the name and the data source, or wait for it"),
    ("no such key", "nothing is stored under this key: check the name and the data source, or wait for it"),
    ("model key is empty", "there is no such model: check the name, and whether names of models have prefixes"),
    ("script key is empty", "there is no such script: check the name, and whether names of models have prefixes"),
    ("WRONGTYPE", "the key holds something of another kind: use another name, or delete the key first"),
    ("OOM", "the database has used up its memory: delete tensors, or give it more (its setting maxmemory)"),
    ("LOADING", "the database is reading its data from disk: try again when it has finished"),
    ("invalid bulk length", "the tensor is larger than the database takes (its setting proto-max-bulk-len): split it"),
    ("MOVED", "the database is a cluster: say so with Client(cluster=True) or SR_DB_TYPE=Clustered"),
    ("cluster support disabled", "it is standalone: say so with Client(cluster=False) or SR_DB_TYPE=Standalone"),
    ("CLUSTERDOWN", "shards of the cluster are missing: see CLUSTER INFO on any of its nodes"),
    ("MASTERDOWN", "the shard is a copy, and what it copies does not answer: see that this runs, or end copying"),
    ("READONLY", "the database is a copy of another: give the address of that one"),
    ("NOAUTH", "the database asks for a password: give it to the client (password=..., or SR_DB_PASSWORD_FILE)"),
    ("WRONGPASS", "the user name or the password is not right: check what the client is given"),
    ("NOPERM", "the database does not allow this command to applications"),
    ("unknown command", "the database was started without the tensor module"),
)


class RedisConnectionError(SmartSimError, RuntimeError):
    """No connection to the database could be made.

    Args:
        cpp_error: what went wrong; scripts of old call it so.
        address: where the database was looked for, as in `SSDB`.
    """

    def __init__(self, cpp_error: str = "", address: str = "") -> None:
        super().__init__(cpp_error, address)
        self.cause = cpp_error
        self.address = address

    def __str__(self) -> str:
        return f"{self.cause}\nCould not connect to Orchestrator at {self.address}" if self.address else self.cause


class RedisReplyError(SmartSimError, RuntimeError):
    """A call of the client failed.

    Args:
        cpp_error: what went wrong, and what to do; scripts of old call it so.
        method: the call, for example ``Client.get_tensor``; the client fills it in.
        key: the key it was about; empty when it was about none.
        reply: the error that the database answered, in its words; empty when it did not answer one.
    """

    def __init__(self, cpp_error: str, method: str = "", key: str = "", reply: str = "") -> None:
        super().__init__(cpp_error, method, key, reply)
        self.cause = cpp_error
        self.method = method
        self.key = key
        self.reply = reply

    def __str__(self) -> str:
        return f"{self.method} execution failed\n{self.cause}" if self.method else self.cause


class RedisRuntimeError(RedisReplyError):
    """The database refused, or what was asked for cannot be done."""


class RedisBadAllocError(RedisReplyError):
    """There is not enough memory on the client's side."""


class RedisDatabaseError(RedisReplyError):
    """The database could not be reached, or did not answer in time, in any of the attempts."""


class RedisInternalError(RedisReplyError):
    """The database answered something that the client does not understand."""


class RedisTimeoutError(RedisReplyError):
    """Something took longer than it was given."""


class RedisKeyError(RedisReplyError):
    """There is nothing under that name."""


def refusal(reply: str, key: str) -> RedisRuntimeError:
    """Return the exception for an error reply of the database, with advice where its cause is known.

    Args:
        reply: the text of the reply.
        key: the key that the command was about; empty for none.
    """
    advice = next((f"; {advice}" for text, advice in _ADVICE if text in reply), "")
    about = f" for the key {key!r}" if key else ""
    return RedisRuntimeError(f"The database answered{about}: {reply}{advice}", key=key, reply=reply)


def check_type(value: object, name: str, expected: type) -> None:
    """Raise `TypeError` when an argument is not of the type that the call wants."""
    if not isinstance(value, expected):
        raise TypeError(f"Argument {name} is of type {type(value)}, not {expected}")
