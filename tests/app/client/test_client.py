from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from servers import Server, free_port, scripted_server
from smartsim.adapters.tensors.in_memory import InMemoryTensorStore
from smartsim.client import Client, ConfigOptions, RedisConnectionError, RedisDatabaseError, RedisRuntimeError
from smartsim.domain.errors import SmartSimError
from smartsim.domain.tensor_types import WIRE_NAMES


@pytest.fixture(params=["fake", "tcp", "unix"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Client]:
    if request.param == "fake":
        yield Client(store=InMemoryTensorStore())
    else:
        with Client(cluster=False, address=str(getattr(server, request.param))) as client:
            yield client


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SSDB", "SR_DB_TYPE", "SSKEYIN", "SSKEYOUT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


# --- tensors


@pytest.mark.parametrize("dtype", WIRE_NAMES)
def test_every_supported_dtype_comes_back(client: Client, dtype: str) -> None:
    data = np.arange(6).reshape(2, 3).astype(dtype)
    client.put_tensor("t", data)
    back = client.get_tensor("t")
    assert back.dtype == data.dtype
    assert np.array_equal(back, data)


LAYOUTS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "Fortran order": np.asfortranarray,
    "other byte order": lambda data: data.astype(data.dtype.newbyteorder()),
    "transposed view": lambda data: np.ascontiguousarray(data.T).T,
    "reversed view": lambda data: np.ascontiguousarray(data[::-1])[::-1],
    "every other one": lambda data: np.repeat(data, 2, axis=1)[:, ::2],
    "broadcast": lambda data: np.broadcast_to(data[0], data.shape),
    "not aligned": lambda data: np.frombuffer(b"x" + data.tobytes(), data.dtype, offset=1).reshape(data.shape),
    "read only": lambda data: np.frombuffer(data.tobytes(), data.dtype).reshape(data.shape),
    "matrix": lambda data: data.view(np.matrix),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("rows", [3, 5000])
def test_any_layout_arrives_as_it_reads(
    client: Client, layout: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], rows: int
) -> None:
    data = layout(np.arange(4 * rows, dtype=np.int32).reshape(rows, 4))
    client.put_tensor("t", data)
    back = client.get_tensor("t")
    assert np.array_equal(back, data)
    assert back.dtype == np.int32
    assert type(back) is np.ndarray
    assert back.flags.c_contiguous
    assert back.flags.owndata
    assert back.flags.writeable


@pytest.mark.parametrize("dtype", ["uint32", "uint64", "float16", "complex128", "U3", "O", "datetime64[s]", "i4,f8"])
def test_other_dtypes_are_refused_by_name(client: Client, dtype: str) -> None:
    with pytest.raises(TypeError, match=r"Incompatible tensor type provided .*float64.*bool"):
        client.put_tensor("t", np.zeros(3, dtype=dtype))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_what_has_no_elements_or_dimensions_is_refused(client: Client, shape: tuple[int, ...]) -> None:
    for data in (np.zeros(shape), np.zeros(shape, dtype=">f8")):
        with pytest.raises(RedisRuntimeError, match=r"put_tensor execution failed\n.* shape \("):
            client.put_tensor("t", data)


def test_the_life_of_a_tensor(client: Client) -> None:
    client.put_tensor("first", np.arange(3))
    assert client.tensor_exists("first")
    assert client.key_exists("first")
    client.copy_tensor("first", "second")
    client.rename_tensor("first", "third")
    assert [client.tensor_exists(name) for name in ("first", "second", "third")] == [False, True, True]
    assert np.array_equal(client.get_tensor("second"), client.get_tensor("third"))
    client.delete_tensor("second")
    client.delete_tensor("second")
    assert not client.tensor_exists("second")


# --- errors


@pytest.mark.parametrize("call", ["get_tensor", "copy_tensor", "rename_tensor"])
def test_a_missing_tensor_is_an_error_that_names_call_and_tensor(client: Client, call: str) -> None:
    with pytest.raises(RedisRuntimeError, match="nothing is stored under this key") as raised:
        getattr(client, call)(*(["absent"] if call == "get_tensor" else ["absent", "new"]))
    assert str(raised.value).splitlines()[0] == f"Client.{call} execution failed"
    assert "'absent'" in str(raised.value)
    assert isinstance(raised.value, RuntimeError)
    assert isinstance(raised.value, SmartSimError)


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("put_tensor", (1, np.zeros(1)), "Argument name is of type <class 'int'>, not <class 'str'>"),
        ("put_tensor", ("t", [1.0]), "Argument data is of type <class 'list'>, not <class 'numpy.ndarray'>"),
        ("put_tensor", ("t", np.float32(1)), "Argument data is of type <class 'numpy.float32'>"),
        ("get_tensor", (b"t",), "Argument name is of type <class 'bytes'>"),
        ("delete_tensor", (None,), "Argument name is of type"),
        ("copy_tensor", ("a", 1), "Argument dest_name is of type"),
        ("copy_tensor", (1, "a"), "Argument src_name is of type"),
        ("rename_tensor", ("a", 1), "Argument new_name is of type"),
        ("rename_tensor", (1, "a"), "Argument old_name is of type"),
        ("tensor_exists", (1,), "Argument name is of type"),
        ("key_exists", (1,), "Argument key is of type"),
        ("poll_tensor", ("t", "1", 1), "Argument poll_frequency_ms is of type"),
        ("poll_key", ("t", 1, 1.5), "Argument num_tries is of type"),
        ("set_data_source", (1,), "Argument source_id is of type"),
        ("use_tensor_ensemble_prefix", ("yes",), "Argument use_prefix is of type"),
        ("use_dataset_ensemble_prefix", (1,), "Argument use_prefix is of type"),
        ("use_list_ensemble_prefix", (1,), "Argument use_prefix is of type"),
        ("use_model_ensemble_prefix", (1,), "Argument use_prefix is of type"),
    ],
)
def test_arguments_of_other_types_are_refused_before_anything_is_sent(
    call: str, arguments: tuple[Any, ...], message: str
) -> None:
    with (
        scripted_server([b"+PONG\r\n", b""]) as server,
        Client(cluster=False, address=str(server.address)) as client,
    ):
        with pytest.raises(TypeError, match=message):
            getattr(client, call)(*arguments)
        assert len(server.received) == 1


@pytest.mark.parametrize("call", ["get_tensor", "delete_tensor", "tensor_exists", "key_exists"])
def test_an_empty_name_is_refused(client: Client, call: str) -> None:
    with pytest.raises(RedisRuntimeError, match=f"Client.{call} execution failed\n.* empty"):
        getattr(client, call)("")


def test_after_close_calls_say_so(server: Server) -> None:
    with Client(cluster=False, address=str(server.tcp)) as client:
        client.put_tensor("t", np.zeros(1))
    with pytest.raises(RedisDatabaseError, match=r"Client.get_tensor execution failed\n.*closed"):
        client.get_tensor("t")


# --- prefixes


def test_members_write_under_their_prefix_and_are_read_by_source(environment: pytest.MonkeyPatch) -> None:
    store = InMemoryTensorStore()
    for number in range(2):
        environment.setenv("SSKEYOUT", f"sim_{number}")
        Client(store=store).put_tensor("t", np.array([number]))
    environment.delenv("SSKEYOUT")
    environment.setenv("SSKEYIN", "sim_0,sim_1")
    reader = Client(store=store)
    assert reader.get_tensor("t")[0] == 0
    reader.set_data_source("sim_1")
    assert reader.get_tensor("t")[0] == 1
    assert reader.tensor_exists("t")
    assert reader.poll_tensor("t", 1, 1)
    assert reader.key_exists("sim_1.t")
    assert not reader.key_exists("t")
    reader.copy_tensor("t", "copy")
    assert reader.key_exists("copy")
    reader.rename_tensor("t", "new")
    assert reader.key_exists("new")
    assert not reader.key_exists("sim_1.t")
    reader.use_tensor_ensemble_prefix(use_prefix=False)
    assert np.array_equal(reader.get_tensor("new"), [1])
    reader.use_tensor_ensemble_prefix(use_prefix=True)
    reader.set_data_source("sim_0")
    reader.delete_tensor("t")
    assert not reader.key_exists("sim_0.t")


def test_the_other_switches_leave_tensors_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SSKEYOUT", "out")
    store = InMemoryTensorStore()
    client = Client(store=store)
    client.use_dataset_ensemble_prefix(use_prefix=False)
    client.use_list_ensemble_prefix(use_prefix=False)
    client.use_model_ensemble_prefix(use_prefix=False)
    client.put_tensor("t", np.zeros(1))
    assert client.key_exists("out.t")


def test_an_unknown_source_is_refused_and_the_old_one_stays(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SSKEYIN", "sim_0")
    store = InMemoryTensorStore()
    store.put(b"sim_0.t", np.zeros(1))
    client = Client(store=store)
    with pytest.raises(RedisRuntimeError, match="'sim_7' is not a data source of this client: it has 'sim_0'"):
        client.set_data_source("sim_7")
    assert client.tensor_exists("t")


# --- polling


def test_polling_a_real_database(server: Server) -> None:
    with Client(cluster=False, address=str(server.unix)) as client:
        assert not client.poll_tensor("never", 1, 3)
        client.put_tensor("there", np.zeros(1))
        assert client.poll_tensor("there", 1000, 100)
        assert client.poll_key("there", 1000, 100)


# --- making one


def test_the_environment_says_where_the_database_is(server: Server, environment: pytest.MonkeyPatch) -> None:
    for address in (str(server.tcp), f"tcp://{server.tcp}", str(server.unix)):
        for db_type in ("", "Standalone", "standalone", "Colocated"):
            environment.setenv("SSDB", address)
            environment.setenv("SR_DB_TYPE", db_type)
            with Client() as client:
                client.put_tensor("t", np.zeros(1))


def test_the_address_given_counts_and_the_environment_stays(server: Server, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SSDB", "127.0.0.1:1")
    environment.setenv("SR_DB_TYPE", "Clustered")
    with Client(cluster=False, address=str(server.tcp), logger_name="mine") as client:
        client.put_tensor("t", np.zeros(1))
    assert os.environ["SSDB"] == "127.0.0.1:1"


def test_a_suffix_chooses_the_database(server: Server, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SSDB_ocean", str(server.unix))
    environment.setenv("SSKEYOUT", "ignored")
    with Client(ConfigOptions.create_from_environment("ocean")) as client:
        client.put_tensor("suffixed", np.zeros(1))
        assert client.key_exists("suffixed")


def test_a_client_describes_itself(server: Server) -> None:
    with Client(cluster=False, address=str(server.tcp), logger_name="mine") as client:
        assert str(client).startswith(
            f"Client (mine):\nNon-clustered Redis connection:\n  Redis shards at:\n    {server.tcp}\n  Protocol: TCP\n"
        )
    with Client(cluster=False, address=str(server.unix)) as client:
        assert "  Protocol: Unix Domain Socket\n" in str(client)
        assert str(client).startswith("Client (Default):\n")
    assert str(Client(store=InMemoryTensorStore())) == "Client (Default):\nTensor store: InMemoryTensorStore"


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((1,), {}, "Argument config_options is of type <class 'int'>"),
        ((None, 1), {}, "Argument context is of type <class 'int'>"),
        ((False, 1), {}, "Argument address is of type <class 'int'>"),
        ((), {"cluster": 1}, "Argument cluster is of type <class 'int'>"),
        ((False,), {"port": 1}, "port"),
        ((), {"logger": "x"}, "logger"),
        ((), {"address": "a:1"}, "cluster"),
    ],
)
def test_other_arguments_are_refused(arguments: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Client(*arguments, **named)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "SSDB is not set"),
        ({"SSDB": ""}, "SSDB is not set"),
        ({"SSDB": "a b:1"}, "' '.*\nCould not connect to Orchestrator at a b:1"),
        ({"SSDB": "a:99999"}, "99999 is not a TCP port"),
        (
            {"SSDB": "unix:///a", "SR_DB_TYPE": "CLUSTERED"},
            "over TCP only.*\nCould not connect to Orchestrator at unix",
        ),
    ],
)
def test_without_a_usable_address_there_is_no_client(
    environment: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(RedisConnectionError, match=message):
        Client()


def test_where_nothing_answers_there_is_no_client(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SR_CONN_TIMEOUT", "1")
    environment.setenv("SR_CONN_INTERVAL", "1000000")
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(RedisConnectionError, match=f"refused.*\nCould not connect to Orchestrator at {address}"):
        Client(cluster=False, address=address)


def test_a_number_that_is_none_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SR_CMD_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="SR_CMD_TIMEOUT is 'soon'"):
        Client(cluster=False, address="127.0.0.1:1")


def test_a_masked_array_is_stored_with_all_its_elements() -> None:
    with Client(store=InMemoryTensorStore()) as client:
        client.put_tensor("x", np.ma.masked_array([1.0, 2.0], mask=[False, True]))
        stored = client.get_tensor("x")
    assert type(stored) is np.ndarray
    assert stored.tolist() == [1.0, 2.0]
