"""What calls about models and about scripts have in common.

A cluster has a copy of each on every shard, under a key that leads there: a run does not move it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from smartsim.app.client.calls import SHARDS, Call
from smartsim.app.client.devices import Copy
from smartsim.app.client.tensors import key_bytes
from smartsim.domain.client_errors import RedisReplyError, RedisRuntimeError, check_type
from smartsim.ports.tensor_store import Command, Reply, Shard, Word

CHECK_PATIENCE: Final = 300.0
"""How long the database lets a worker look at what is to be stored, in seconds."""


def names(value: str | list[str] | None, argument: str) -> list[str]:
    """Return the names that a user gives as one text, a list of them, or None for none.

    Args:
        value: what was given.
        argument: what the user knows it as.

    Raises:
        TypeError: it is something else.
    """
    if value is None:
        return []
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise TypeError(f"Argument was of type {type(value)}, not {(list, str)}: give {argument} as a list of str")
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"Argument {argument} has {name!r} of type {type(name)} in it, not <class 'str'>")
    return listed


def read_file(path: str, argument: str) -> bytes:
    """Return what is in the file of a model or script.

    Raises:
        TypeError: the path is no text.
        FileNotFoundError: there is no such file; it has the absolute path.
    """
    check_type(path, argument, str)
    file = Path(path).absolute()
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, "There is no such file", str(file))
    return file.read_bytes()


def key_on(shard: Shard, key: str) -> bytes:
    """Return the key under which a shard has its copy."""
    name = key_bytes(key)
    return b"%b.%b" % (shard.prefix, name) if shard.prefix else name


def ask(words: Callable[[bytes], tuple[bytes, ...]], key: str) -> Call[Reply]:
    """Return what the first shard says to a command that only reads, of which a key makes the words."""
    shards: Sequence[Shard] = yield SHARDS
    stored = key_on(shards[0], key)
    replies: list[Reply] = yield [Command(words(stored), key=stored, changes=False)]
    return replies[0]


def store(copies: Sequence[Copy], words: Callable[[bytes, bytes], tuple[Word, ...]]) -> Call[None]:
    """Store copies, on all shards each, one after the other: only one of them is on its way at a time.

    Args:
        copies: what to store.
        words: makes a command of a key and a device.

    Raises:
        RedisRuntimeError: the database refuses one; it says which. Those after it are not stored.
    """
    shards: Sequence[Shard] = yield SHARDS
    for copy in copies:
        _check((yield from _on_every_shard(shards, [copy], words, CHECK_PATIENCE)))


def delete(copies: Sequence[Copy], command: bytes) -> Call[None]:
    """Delete copies, on all shards each.

    Raises:
        RedisRuntimeError: one is on no shard; all that are there are deleted nevertheless.
    """
    shards: Sequence[Shard] = yield SHARDS
    answers = yield from _on_every_shard(shards, copies, lambda key, _: (command, key), 0)
    deleted = {answer.copy for answer in answers if not isinstance(answer.reply, RedisReplyError)}
    # Where a shard got hash slots after something was stored, there is no copy for these.
    _check([answer for answer in answers if not (answer.copy in deleted and _is_missing(answer.reply))])


class _Answer(NamedTuple):
    copy: Copy
    shard: Shard
    reply: Reply


def _on_every_shard(
    shards: Sequence[Shard],
    copies: Sequence[Copy],
    words: Callable[[bytes, bytes], tuple[Word, ...]],
    patience: float,
) -> Call[list[_Answer]]:
    targets = [(copy, shard, key_on(shard, copy.key)) for copy in copies for shard in shards]
    replies = yield [Command(words(key, copy.device.encode()), key=key, patience=patience) for copy, _, key in targets]
    return [_Answer(copy, shard, reply) for (copy, shard, _), reply in zip(targets, replies, strict=True)]


def _is_missing(reply: Reply) -> bool:
    return isinstance(reply, RedisReplyError) and "key is empty" in reply.reply


def _check(answers: Sequence[_Answer]) -> None:
    """Raise the first refusal, if there is one; it says which copies it is for."""
    refused = [
        (answer.reply, f"{answer.copy.key} on {answer.shard.address}")
        for answer in answers
        if isinstance(answer.reply, RedisReplyError)
    ]
    if refused:
        error, _ = refused[0]
        where = ""
        if len(refused) < len(answers):
            where = f"; this was the answer for {', '.join(label for _, label in refused)}, and for no other copy"
        raise RedisRuntimeError(f"{error.cause}{where}", key=answers[0].copy.key, reply=error.reply)
