"""Commands of the in-memory tensor store for scripts: they are kept, and not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from smartsim.adapters.tensors.in_memory_keys import CommandKind, Commands, Keys, RefusedError, Shared
from smartsim.ports.tensor_store import Reply

_OK: Final = b"OK"
_NO_SCRIPT: Final = "ERR script key is empty"
_DEVICE = re.compile(rb"(?:CPU|GPU)(?::\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True)
class Script(Shared):
    """A script, and what it was stored with."""

    device: bytes
    tag: bytes
    source: bytes


def _store(keys: Keys, name: bytes, device: bytes, *words: bytes) -> Reply:
    keys.find(name, Script)
    tag = b""
    if words[0] == b"TAG":
        tag, words = words[1], words[2:]
    if len(words) != 2 or words[0] != b"SOURCE":  # noqa: PLR2004 - the keyword and the text
        raise RefusedError("ERR Insufficient arguments, missing script SOURCE")
    if not _DEVICE.fullmatch(device):
        raise RefusedError("ERR Invalid DEVICE")
    keys.put(name, Script(device, tag, words[1]))
    return _OK


def _get(keys: Keys, name: bytes, *parts: bytes) -> Reply:
    script = keys.need(name, Script, _NO_SCRIPT)
    if not {b"META", b"SOURCE"}.issuperset(parts):
        raise RefusedError("ERR unsupported data format")
    if parts == (b"SOURCE",):
        return script.source
    meta: list[Reply] = [b"device", script.device, b"tag", script.tag, b"Entry Points", []]
    return meta if parts == (b"META",) else [*meta, b"source", script.source]


def _delete(keys: Keys, name: bytes) -> Reply:
    keys.need(name, Script, _NO_SCRIPT)
    keys.remove(name)
    return _OK


def _execute(keys: Keys, name: bytes, *_words: bytes) -> Reply:
    keys.need(name, Script, _NO_SCRIPT)
    raise RefusedError("ERR the in-memory store runs no scripts: test what needs them with a database")


COMMANDS: Final[Commands] = {
    b"AI.SCRIPTSET": CommandKind(_store, 4, 6, in_transactions=False),
    b"AI.SCRIPTGET": CommandKind(_get, 1, 3),
    b"AI.SCRIPTDEL": CommandKind(_delete, 1, 1),
    b"AI.SCRIPTEXECUTE": CommandKind(_execute, 2, in_transactions=False),
}
