"""AI.TENSORSET and AI.TENSORGET: what is put comes back, and what is wrong is said."""

from __future__ import annotations

import socket
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from module_server import Server

DTYPES = {
    "FLOAT": np.float32,
    "DOUBLE": np.float64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "BOOL": np.bool_,
}
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: st.tuples(
        st.just(name), hnp.arrays(DTYPES[name], hnp.array_shapes(min_dims=0, max_dims=6, max_side=5))
    )
)
WITHOUT_NUL = st.binary(max_size=20).map(lambda text: text.replace(b"\0", b""))
few = settings(deadline=None, max_examples=100)


def put(db: redis.Redis, *arguments: Any) -> Any:
    return db.execute_command("AI.TENSORSET", *arguments)


def get(db: redis.Redis, *arguments: Any) -> Any:
    return db.execute_command("AI.TENSORGET", *arguments)


def refusal(server: Server, *arguments: Any) -> str:
    """Return the first line of the reply as it is on the wire: a client's library takes the prefix away."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as replies:
        connection.settimeout(10)
        connection.connect(str(server.socket))
        connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return replies.readline().decode().removesuffix("\r\n")


def word(name: str, element: Any) -> str:
    return repr(float(element)) if name in {"FLOAT", "DOUBLE"} else str(int(element))


@few
@given(ARRAYS, st.binary())
def test_any_blob_comes_back_as_it_was(
    lasting_db: redis.Redis, case: tuple[str, np.ndarray[Any, Any]], key: bytes
) -> None:
    name, array = case
    assert put(lasting_db, key, name, *array.shape, "BLOB", array.tobytes()) == b"OK"
    assert get(lasting_db, key) == [b"dtype", name.encode(), b"shape", list(array.shape), b"blob", array.tobytes()]
    assert get(lasting_db, key, "BLOB") == array.tobytes()


@few
@given(ARRAYS)
def test_values_and_blob_are_two_ways_to_say_the_same(
    lasting_db: redis.Redis, case: tuple[str, np.ndarray[Any, Any]]
) -> None:
    name, array = case
    put(lasting_db, "values", name, *array.shape, "VALUES", *(word(name, element) for element in array.flat))
    np.testing.assert_array_equal(np.frombuffer(get(lasting_db, "values", "BLOB"), DTYPES[name]), array.ravel())
    put(lasting_db, "blob", name, *array.shape, "BLOB", array.tobytes())
    np.testing.assert_array_equal(np.array(get(lasting_db, "blob", "VALUES"), DTYPES[name]), array.ravel())


@few
@given(st.lists(WITHOUT_NUL, min_size=1, max_size=20))
def test_strings_come_back_as_values_and_as_blob(lasting_db: redis.Redis, texts: list[bytes]) -> None:
    blob = b"".join(text + b"\0" for text in texts)
    put(lasting_db, "values", "STRING", len(texts), "VALUES", *texts)
    assert get(lasting_db, "values", "BLOB") == blob
    put(lasting_db, "terminated", "STRING", len(texts), "VALUES", *(text + b"\0" for text in texts))
    assert get(lasting_db, "terminated", "BLOB") == blob
    put(lasting_db, "blob", "STRING", len(texts), "BLOB", blob)
    assert get(lasting_db, "blob", "VALUES") == texts
    assert get(lasting_db, "blob", "META", "VALUES") == [b"dtype", b"STRING", b"shape", [len(texts)], b"values", texts]


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_without_data_a_tensor_is_zero(db: redis.Redis, name: str) -> None:
    put(db, "k", name, 3, 2)
    assert get(db, "k", "BLOB") == bytes(6 * np.dtype(DTYPES[name]).itemsize)
    assert get(db, "k", "VALUES") == [0] * 6


def test_without_data_strings_are_empty(db: redis.Redis) -> None:
    put(db, "k", "STRING", 3)
    assert get(db, "k", "VALUES") == [b"", b"", b""]


def test_words_are_read_in_any_case(db: redis.Redis) -> None:
    put(db, "k", "uInt8", 2, "bLob", b"\1\2")
    assert get(db, "k", "meta", "Values") == [b"dtype", b"UINT8", b"shape", [2], b"values", [1, 2]]


def test_meta_alone_has_no_data(db: redis.Redis) -> None:
    put(db, "k", "INT16", 2, 3)
    assert get(db, "k", "META") == [b"dtype", b"INT16", b"shape", [2, 3]]


def test_without_dimensions_a_tensor_is_a_scalar(db: redis.Redis) -> None:
    put(db, "k", "INT64", "VALUES", -7)
    assert get(db, "k") == [b"dtype", b"INT64", b"shape", [], b"blob", np.int64(-7).tobytes()]
    put(db, "k", "STRING", "BLOB", b"one\0")
    assert get(db, "k", "META", "VALUES") == [b"dtype", b"STRING", b"shape", [], b"values", [b"one"]]


def test_the_reply_is_what_old_clients_parse(shared: Server, db: redis.Redis) -> None:
    put(db, "k", "FLOAT", 1, 1, "BLOB", b"abcd")
    expected = b"*6\r\n$5\r\ndtype\r\n$5\r\nFLOAT\r\n$5\r\nshape\r\n*2\r\n:1\r\n:1\r\n$4\r\nblob\r\n$4\r\nabcd\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(shared.socket))
        connection.sendall(b"AI.TENSORGET k META BLOB\r\n")
        reply = b""
        while len(reply) < len(expected):
            reply += connection.recv(1000)
    assert reply == expected


def test_floats_are_bulk_strings_to_old_clients(shared: Server, db: redis.Redis) -> None:
    put(db, "k", "DOUBLE", 4, "VALUES", 0.5, "-inf", "nan", 1024)
    assert get(shared.client(protocol=2), "k", "VALUES") == [b"0.5", b"-inf", b"nan", b"1024"]


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e-400", "-0.0", "0x1p-3"])
def test_every_float_there_is_can_be_a_value(db: redis.Redis, word: str) -> None:
    put(db, "k", "DOUBLE", 1, "VALUES", word)
    expected = float.fromhex(word) if "x" in word else float(word)
    np.testing.assert_array_equal(np.frombuffer(get(db, "k", "BLOB")), [expected])


def test_a_blob_of_64_mib_comes_back(db: redis.Redis) -> None:
    array = np.arange(8 << 20, dtype=np.int64)
    put(db, "k", "INT64", *array.shape, "BLOB", array.data)
    assert get(db, "k", "BLOB") == array.tobytes()


def test_a_new_tensor_takes_the_place_of_the_old(db: redis.Redis) -> None:
    put(db, "k", "FLOAT", 2, "VALUES", 1, 2)
    put(db, "k", "INT8", 1, "VALUES", 3)
    assert get(db, "k", "META", "VALUES") == [b"dtype", b"INT8", b"shape", [1], b"values", [3]]


ARITY = "-ERR wrong number of arguments for 'AI.TENSORSET' command"
SHAPE = "-ERR invalid or negative value found in tensor shape"
ONE_BLOB = "-ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command"
TYPE = "-ERR invalid data type"
VALUE = "-ERR invalid value"
NUL = "-ERR C-string value contains null character"
COUNT = "-ERR wrong number of values was given in 'AI.TENSORSET' command"
LENGTH = "-ERR data length does not match tensor shape and type"
BOOLS = "-ERR BOOL tensor elements must be 0 or 1"
STRINGS = "-ERR Number of string elements in data blob does not match tensor length"
TOO_LARGE = "-ERR a tensor without BLOB or VALUES may take at most 512 MiB"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], ARITY),
        (["FLOAT"], ARITY),
        (["VALUES"], ARITY),
        (["HALF", 1], TYPE),
        (["FLOATS", 1], TYPE),
        (["", 1], TYPE),
        (["FLOAT", -1], SHAPE),
        (["FLOAT", 0, "BLOB", b""], SHAPE),
        (["FLOAT", 2, "two"], SHAPE),
        (["FLOAT", "1.0"], SHAPE),
        (["FLOAT", " 1"], SHAPE),
        (["FLOAT", ""], SHAPE),
        (["FLOAT", 2**63], SHAPE),
        (["INT8", 2**63 - 1, 2], SHAPE),
        (["DOUBLE", 2**60], SHAPE),
        (["DOUBLE", 2**32, 2**32, "BLOB", b""], SHAPE),
        (["DOUBLE", 2**62, 2**62, 2**62, 2**62, "VALUES", 1], SHAPE),
        (["DOUBLE", 2**50], TOO_LARGE),
        (["UINT8", 2**29 + 1], TOO_LARGE),
        (["DOUBLE", 2**50, "BLOB", b"12345678"], LENGTH),
        (["DOUBLE", 2**50, "VALUES", 1], COUNT),
        (["FLOAT", 1, "BLOB"], ONE_BLOB),
        (["FLOAT", 1, "BLOB", b"1234", b"5678"], ONE_BLOB),
        (["FLOAT", 1, "BLOB", b"1234", "VALUES", 1], ONE_BLOB),
        (["FLOAT", 1, "BLOB", b"123"], LENGTH),
        (["FLOAT", 1, "BLOB", b"12345"], LENGTH),
        (["FLOAT", 2, 2, "BLOB", b""], LENGTH),
        (["FLOAT", "BLOB", b""], LENGTH),
        (["FLOAT", 2, "VALUES", 1], COUNT),
        (["FLOAT", 2, "VALUES", 1, 2, 3], COUNT),
        (["FLOAT", 2, "VALUES"], COUNT),
        (["FLOAT", 1, "VALUES", "one"], VALUE),
        (["FLOAT", 1, "VALUES", ""], VALUE),
        (["FLOAT", 1, "VALUES", " 1"], VALUE),
        (["FLOAT", 1, "VALUES", "1 "], VALUE),
        (["FLOAT", 1, "VALUES", b"1\0002"], VALUE),
        (["FLOAT", 1, "VALUES", "1e39"], VALUE),
        (["DOUBLE", 1, "VALUES", "-1e309"], VALUE),
        (["INT8", 1, "VALUES", 128], VALUE),
        (["INT8", 1, "VALUES", -129], VALUE),
        (["INT16", 1, "VALUES", 2**15], VALUE),
        (["INT32", 1, "VALUES", -(2**31) - 1], VALUE),
        (["INT64", 1, "VALUES", 2**63], VALUE),
        (["UINT8", 1, "VALUES", -1], VALUE),
        (["UINT16", 1, "VALUES", 2**16], VALUE),
        (["INT8", 1, "VALUES", "1.5"], VALUE),
        (["BOOL", 1, "VALUES", "true"], VALUE),
        (["BOOL", 1, "VALUES", 2], BOOLS),
        (["BOOL", 1, "VALUES", -1], BOOLS),
        (["BOOL", 3, "BLOB", b"\2\1\0"], BOOLS),
        (["BOOL", 3, "BLOB", b"\0\1\2"], BOOLS),
        (["STRING", 2, "VALUES", "a", b"b\0c"], NUL),
        (["STRING", 1, "VALUES", b"a\0\0"], NUL),
        (["STRING", 2, "BLOB", b"a\0"], STRINGS),
        (["STRING", 2, "BLOB", b"a\0b\0c\0"], STRINGS),
        (["STRING", 2, "BLOB", b"a\0b\0c"], STRINGS),
        (["STRING", 2, "BLOB", b"a\0b"], STRINGS),
        (["STRING", 1, "BLOB", b""], STRINGS),
    ],
)
def test_a_refused_tensor_says_why_and_changes_nothing(
    shared: Server, db: redis.Redis, arguments: list[Any], error: str
) -> None:
    put(db, "old", "INT8", 1, "VALUES", 5)
    for key in ("old", "new"):
        assert refusal(shared, "AI.TENSORSET", key, *arguments) == error
    assert get(db, "old", "VALUES") == [5]
    assert db.exists("new") == 0


GET_ARITY = "-ERR wrong number of arguments for 'AI.TENSORGET' command"
EMPTY = "-ERR tensor key is empty or in a different shard"
FORMAT = "-ERR unsupported data format"
BOTH = "-ERR both BLOB and VALUES specified"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], GET_ARITY),
        (["k", "META", "BLOB", "META"], GET_ARITY),
        (["nothing"], EMPTY),
        (["nothing", "JSON"], EMPTY),
        (["k", "JSON"], FORMAT),
        (["k", "META", "BLOBS"], FORMAT),
        (["k", ""], FORMAT),
        (["k", "BLOB", "VALUES"], BOTH),
        (["k", "values", "blob"], BOTH),
    ],
)
def test_a_refused_read_says_why(shared: Server, db: redis.Redis, arguments: list[Any], error: str) -> None:
    put(db, "k", "INT8", 1, "VALUES", 5)
    assert refusal(shared, "AI.TENSORGET", *arguments) == error


def test_a_set_without_a_key_is_refused(shared: Server) -> None:
    assert refusal(shared, "AI.TENSORSET") == ARITY


@pytest.mark.parametrize(
    "command",
    [
        ["AI.TENSORSET", "text", "FLOAT", 1],
        ["AI.TENSORSET", "text", "HALF", 1],
        ["AI.TENSORSET", "text", "FLOAT", "one"],
        ["AI.TENSORGET", "text"],
        ["AI.TENSORGET", "text", "JSON"],
    ],
)
def test_another_kind_of_value_is_refused_before_all_else(shared: Server, db: redis.Redis, command: list[Any]) -> None:
    db.set("text", "precious")
    assert refusal(shared, *command) == "-WRONGTYPE Operation against a key holding the wrong kind of value"
    assert db.get("text") == b"precious"


def test_other_commands_refuse_a_tensor(db: redis.Redis) -> None:
    put(db, "k", "FLOAT", 1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        db.get("k")
    assert db.type("k") == b"AI_TENSOR"


def test_a_blob_may_look_like_anything_the_server_encodes(db: redis.Redis) -> None:
    for blob in (b"1234", b"-123", b"0000", b"\0\0\0\0"):
        put(db, "k", "FLOAT", 1, "BLOB", blob)
        db.execute_command("DEBUG", "RELOAD")
        assert get(db, "k", "BLOB") == blob
