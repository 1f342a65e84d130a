"""The module says why it does not load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from module_server import Server

# A server that lacks one function: what it hands to a module is a context that starts with its look-up function.
OLD_SERVER = """
import ctypes, sys

lookup_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p))
log_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_char_p] * 5)

@log_type
def log(context, level, form, *words):
    print((form % words[: form.count(b"%s")]).decode())

@lookup_type
def lookup(name, function):
    if name == sys.argv[2].encode():
        return 1
    function[0] = ctypes.cast(log, ctypes.c_void_p).value
    return 0

context = ctypes.c_void_p(ctypes.cast(lookup, ctypes.c_void_p).value)
print(ctypes.CDLL(sys.argv[1]).RedisModule_OnLoad(ctypes.byref(context), None, 0))
"""


@pytest.mark.parametrize("name", ["RedisModule_HoldString", "RedisModule_EmitAOF", "RedisModule_Log"])
def test_a_server_that_lacks_a_function_is_told_which(module: Path, environment: dict[str, str], name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OLD_SERVER, str(module), name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    wanted = "not loaded: it needs Valkey, Redis 6.2 or KeyDB 6.3, or later; this server lacks " + name
    assert wanted in (ended.stderr if name == "RedisModule_Log" else ended.stdout)
    assert ended.stdout.splitlines()[-1] == "1"


def test_arguments_are_refused(serve: Callable[..., Server], module: Path) -> None:
    server = serve("--enable-module-command", "yes")
    with pytest.raises(redis.ResponseError):
        server.client().execute_command("MODULE", "LOAD", str(module), "THREADS_PER_QUEUE", "4")
    server.wait_for("not loaded")


def test_it_is_listed_by_its_name(db: redis.Redis) -> None:
    (listed,) = [entry for entry in db.module_list() if entry[b"name"] == b"ai"]
    assert listed[b"ver"] == 1


def test_it_cannot_be_unloaded_under_its_tensors(serve: Callable[..., Server]) -> None:
    db = serve("--enable-module-command", "yes").client()
    with pytest.raises(redis.ResponseError, match="data types"):
        db.module_unload("ai")
