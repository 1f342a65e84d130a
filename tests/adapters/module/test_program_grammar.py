"""The grammar of the commands that store models and scripts."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from module_server import Server
from scripted_worker import Peer, ScriptedWorker, store

MODEL_ERRORS = [
    ("", "wrong number of arguments for '{command}' command"),
    ("k", "wrong number of arguments for '{command}' command"),
    ("k TORCH", "wrong number of arguments for '{command}' command"),
    ("k PERL CPU BLOB x", "unsupported backend"),
    ("k TORC CPU BLOB x", "unsupported backend"),
    ("k TORCH TPU BLOB x", "Invalid DEVICE"),
    ("k TORCH CPU", "Insufficient arguments, missing model BLOB"),
    ("k TORCH CPU BLOB", "Insufficient arguments, missing model BLOB"),
    ("k TORCH CPU TAG", "Insufficient arguments, missing model BLOB"),
    ("k TORCH CPU TAG t", "Insufficient arguments, missing model BLOB"),
    ("k TORCH CPU x", "Invalid argument, expected BLOB"),
    ("k TORCH CPU TAG t x BLOB x", "Invalid argument, expected BLOB"),
    ("k TORCH CPU BATCHSIZE 2 TAG t BLOB x", "Invalid argument, expected BLOB"),
    ("k TORCH CPU BATCHSIZE", "Invalid argument for BATCHSIZE"),
    ("k TORCH CPU BATCHSIZE many BLOB x", "Invalid argument for BATCHSIZE"),
    ("k TORCH CPU BATCHSIZE -1 BLOB x", "Invalid argument for BATCHSIZE"),
    ("k TORCH CPU BATCHSIZE 9223372036854775808 BLOB x", "Invalid argument for BATCHSIZE"),
    ("k TORCH CPU BATCHSIZE 2 MINBATCHSIZE few BLOB x", "Invalid argument for MINBATCHSIZE"),
    ("k TORCH CPU BATCHSIZE 2 MINBATCHSIZE", "Invalid argument for MINBATCHSIZE"),
    ("k TORCH CPU MINBATCHSIZE 2 BLOB x", "MINBATCHSIZE specified without BATCHSIZE"),
    ("k TORCH CPU BATCHSIZE 2 MINBATCHSIZE 2 MINBATCHTIMEOUT BLOB x", "Invalid argument for MINBATCHTIMEOUT"),
    ("k TORCH CPU BATCHSIZE 2 MINBATCHTIMEOUT 2 BLOB x", "MINBATCHTIMEOUT specified without MINBATCHSIZE"),
    ("k TORCH CPU INPUTS 1 a BLOB x", "INPUTS argument should not be specified for this backend"),
    ("k ONNX CPU OUTPUTS 1 a BLOB x", "OUTPUTS argument should not be specified for this backend"),
]
STORE_ERRORS = [
    ("k TF CPU", "INPUTS not specified for TF"),
    ("k TF CPU BLOB x", "INPUTS not specified for TF"),
    ("k TF CPU OUTPUTS 1 b BLOB x", "INPUTS not specified for TF"),
    ("k TF CPU INPUTS 1 a BLOB x", "OUTPUTS not specified for TF"),
    ("k TF CPU INPUTS", "Invalid argument for input_count"),
    ("k TF CPU INPUTS a b", "Invalid argument for input_count"),
    ("k TF CPU INPUTS 0 OUTPUTS 1 b BLOB x", "Invalid argument for input_count"),
    ("k TF CPU INPUTS -1 a OUTPUTS 1 b BLOB x", "Invalid argument for input_count"),
    ("k TF CPU INPUTS 9 a OUTPUTS 1 b BLOB x", "number of model inputs does not match the number of given arguments"),
    ("k TF CPU INPUTS 1 a OUTPUTS b BLOB x", "Invalid argument for output_count"),
    ("k TF CPU INPUTS 1 a OUTPUTS", "Invalid argument for output_count"),
    ("k TF CPU INPUTS 1 a OUTPUTS 4 b BLOB x", "number of model outputs does not match the number of given arguments"),
    ("k TF CPU INPUTS 1 a OUTPUTS 1 b", "Insufficient arguments, missing model BLOB"),
    ("k TF CPU INPUTS 1 a OUTPUTS 1 b c BLOB x", "Invalid argument, expected BLOB"),
]
SET_ERRORS = [
    ("k TF CPU", "Insufficient arguments, INPUTS and OUTPUTS not specified"),
    ("k TF CPU BLOB x", "INPUTS not specified"),
    ("k TF CPU INPUTS OUTPUTS b BLOB x", "INPUTS not specified"),
    ("k TF CPU INPUTS a BLOB x", "OUTPUTS not specified"),
    ("k TF CPU INPUTS a OUTPUTS BLOB x", "OUTPUTS not specified"),
    ("k TF CPU INPUTS a OUTPUTS b", "Insufficient arguments, missing model BLOB"),
    ("k TFLITE CPU BATCHSIZE 2 BLOB x", "Auto-batching not supported by the TFLITE backend"),
]
SCRIPT_STORE_ERRORS = [
    ("", "wrong number of arguments for 'AI.SCRIPTSTORE' command"),
    ("k", "wrong number of arguments for 'AI.SCRIPTSTORE' command"),
    ("k CPU", "Insufficient arguments, missing script entry points"),
    ("k CPU SOURCE x", "Insufficient arguments, missing script entry points"),
    ("k CPU TAG", "Insufficient arguments, missing script entry points"),
    ("k CPU ENTRY_POINTS", "Insufficient arguments, missing script entry points"),
    ("k CPU ENTRY_POINTS 4 f SOURCE x", "Insufficient arguments, missing script entry points"),
    ("k CPU ENTRY_POINTS f SOURCE x", "Non numeric entry points number provided to AI.SCRIPTSTORE command"),
    ("k CPU ENTRY_POINTS 0 SOURCE x", "Non numeric entry points number provided to AI.SCRIPTSTORE command"),
    ("k CPU ENTRY_POINTS 1 f", "Insufficient arguments, missing script SOURCE"),
    ("k CPU ENTRY_POINTS 1 f SOURCE", "Insufficient arguments, missing script SOURCE"),
    ("k CPU ENTRY_POINTS 1 f SOURCE x y", "Insufficient arguments, missing script SOURCE"),
    ("k TPU ENTRY_POINTS 1 f SOURCE x", "unsupported device"),
]
SCRIPT_SET_ERRORS = [
    ("", "wrong number of arguments for 'AI.SCRIPTSET' command"),
    ("k CPU SOURCE", "wrong number of arguments for 'AI.SCRIPTSET' command"),
    ("k CPU TAG t SOURCE", "wrong number of arguments for 'AI.SCRIPTSET' command"),
    ("k CPU TAGS t SOURCE x", "Insufficient arguments, missing script SOURCE"),
    ("k CPU SAUCE x", "Insufficient arguments, missing script SOURCE"),
    ("k CPU TAG SOURCE x", "wrong number of arguments for 'AI.SCRIPTSET' command"),
    ("k TPU SOURCE x", "unsupported device"),
]
ERRORS = [
    (command, arguments, error)
    for command, errors in [
        ("AI.MODELSTORE", MODEL_ERRORS + STORE_ERRORS),
        ("AI.MODELSET", MODEL_ERRORS + SET_ERRORS),
        ("AI.SCRIPTSTORE", SCRIPT_STORE_ERRORS),
        ("AI.SCRIPTSET", SCRIPT_SET_ERRORS),
    ]
    for arguments, error in errors
]


@pytest.mark.parametrize(("command", "arguments", "error"), ERRORS)
def test_a_store_is_checked(worker: ScriptedWorker, client: Peer, command: str, arguments: str, error: str) -> None:
    worker.want()
    with pytest.raises(redis.ResponseError) as refusal:
        client.ask(command, *arguments.split())
    assert str(refusal.value) == error.format(command=command)
    assert client.ask("EXISTS", "k") == 0
    assert not worker.answered()


@pytest.mark.parametrize("device", ["CPU", "cpu", "Cpu", "CPU:0", "cpu:12345", "GPU", "gpu", "GPU:0", "gpu:99999"])
def test_a_device_is_kept_as_it_was_given(shared: Server, client: Peer, device: str) -> None:
    serves = device.upper() if device[0] in "gG" else "CPU"
    with ScriptedWorker(shared.socket, device=serves, TORCH="2.13") as worker:
        assert store(client, worker, "AI.MODELSTORE", "m", "torch", device, "BLOB", b"x") == b"OK"
        assert store(client, worker, "AI.SCRIPTSET", "s", device, "SOURCE", "x") == b"OK"
    assert client.ask("AI.MODELGET", "m", "META")[3] == device.encode()
    assert client.ask("AI.SCRIPTGET", "s", "META")[1] == device.encode()
    client.ask("FLUSHALL")


@pytest.mark.parametrize(
    "device", ["", "C", "CPUS", "CPU:", "CPU:x", "CPU:-1", "CPU:123456", "CPU:1 ", "GPU:0x1", "GPU:0:1", b"CPU\0"]
)
def test_a_device_is_checked(worker: ScriptedWorker, client: Peer, device: Any) -> None:
    worker.want()
    with pytest.raises(redis.ResponseError, match="^Invalid DEVICE$"):
        client.ask("AI.MODELSTORE", "m", "TORCH", device, "BLOB", b"x")
    with pytest.raises(redis.ResponseError, match="^unsupported device$"):
        client.ask("AI.SCRIPTSET", "s", device, "SOURCE", "x")
    assert not worker.answered()


@pytest.mark.parametrize("command", ["AI.MODELSTORE", "ai.modelset"])
def test_words_are_read_in_any_case_and_numbers_may_be_zero(worker: ScriptedWorker, client: Peer, command: str) -> None:
    arguments = ["Onnx", "Cpu", "tag", "blob", "batchsize", 3, "minbatchsize", 0, "blob", b"x"]
    assert store(client, worker, command, "m", *arguments) == b"OK"
    reply = client.ask("AI.MODELGET", "m")
    assert (reply[1], reply[5], reply[7], reply[9], reply[17]) == (b"ONNX", b"blob", 3, 0, b"x")


def test_counted_names_may_be_any_words(worker: ScriptedWorker, client: Peer) -> None:
    names = ["INPUTS", 3, "OUTPUTS", b"\0\xff", "a", "OUTPUTS", 2, "BLOB", "INPUTS"]
    assert store(client, worker, "AI.MODELSTORE", "m", "TF", "CPU", *names, "BLOB", b"BLOB", b"BLOB") == b"OK"
    reply = client.ask("AI.MODELGET", "m")
    assert (reply[11], reply[13], reply[17]) == ([b"OUTPUTS", b"\0\xff", b"a"], [b"BLOB", b"INPUTS"], b"BLOBBLOB")


def test_a_model_of_many_pieces_is_whole(worker: ScriptedWorker, client: Peer) -> None:
    pieces = [bytes([i % 256]) * (i * 37) for i in range(500)]
    assert store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", *pieces) == b"OK"
    assert client.ask("AI.MODELGET", "m", "BLOB") == b"".join(pieces)
    assert store(client, worker, "AI.MODELSTORE", "empty", "TORCH", "CPU", "BLOB", b"") == b"OK"
    assert client.ask("AI.MODELGET", "empty", "BLOB") == b""
