"""Datasets in the words of the module's commands, and what a database has of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import redis

META = "{d}.meta"
TENSORS: dict[str, list[Any]] = {
    "a": ["INT8", 3, b"abc"],
    "b": ["FLOAT", 2, 1, b"12345678"],
    "c": ["BOOL", b"\1"],
    "d": ["UINT16", 1, b"xy"],
}
LAYOUTS = b"INT8 3,FLOAT 2 1,BOOL,UINT16 1"
DATA = b"abc12345678\1xy"


def names_field(names: Sequence[str | bytes]) -> bytes:
    encoded = [name if isinstance(name, bytes) else name.encode() for name in names]
    return b"\7" + b"".join(struct.pack("<Q", len(name)) + name for name in encoded)


def put_words(
    tensors: dict[str, list[Any]], *, meta: str = META, ms: Any = 0, blobs: int = 1, **fields: bytes
) -> list[Any]:
    """Return an AI._DATASETPUT, with the bytes of the tensors in as many blobs as they can be spread over evenly."""
    values: list[Any] = [word for field in fields.items() for word in field]
    if tensors:
        values += [".tensor_names", names_field(list(tensors))]
    values += [".COMPLETE", "1"]
    words = ["AI._DATASETPUT", meta, ms, len(values) // 2, *values]
    if tensors:
        data = [tensor[-1] for tensor in tensors.values()]
        each = len(data) // blobs
        words.append(",".join(" ".join(map(str, tensor[:-1])) for tensor in tensors.values()))
        words += [b"".join(data[start : start + each]) for start in range(0, len(data), each)]
    return words


def put(db: redis.Redis, tensors: dict[str, list[Any]], **options: Any) -> None:
    assert db.execute_command(*put_words(tensors, **options)) == b"OK"


def get(db: redis.Redis, meta: str = META) -> Any:
    return db.execute_command("AI._DATASETGET", meta)


def read(db: redis.Redis, meta: str = META) -> Any:
    """Return the fields, the layouts and all bytes of a dataset."""
    fields, layouts, *blobs = get(db, meta)
    return dict(zip(fields[::2], fields[1::2], strict=True)), layouts, b"".join(blobs)


def put_by_parts(db: redis.Redis, tensors: dict[str, list[Any]], **fields: bytes) -> None:
    """Do as the clients of old do."""
    db.delete(META)
    stored: dict[Any, Any] = {**fields, ".tensor_names": names_field(list(tensors))}
    db.hset(META, mapping=stored)
    for name, (*layout, data) in tensors.items():
        db.execute_command("AI.TENSORSET", f"{{d}}.{name}", *layout, "BLOB", data)
    db.hset(META, ".COMPLETE", "1")


def everything(db: redis.Redis) -> dict[bytes, Any]:
    """Return the hashes and tensors of a database, each with the time at which it will go."""
    found = {}
    for key in db.scan_iter():
        value: Any = db.hgetall(key) if db.type(key) == b"hash" else db.execute_command("AI.TENSORGET", key)
        found[key] = (value, db.execute_command("PEXPIRETIME", key))
    return found


def digest(db: redis.Redis) -> Any:
    return db.execute_command("DEBUG", "DIGEST")


def used_memory(db: redis.Redis) -> int:
    return int(db.info("memory")["used_memory"])
