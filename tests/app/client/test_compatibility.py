"""What scripts that were written for the clients of old rely on, name by name."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from smartredis.error import RedisConnectionError, RedisKeyError, RedisReplyError, RedisRuntimeError
from smartsim.adapters.tensors.in_memory import AsyncInMemoryTensorStore, InMemoryTensorStore
from smartsim.client import AsyncClient, Client, ConfigOptions, Dataset, DatasetConverter, LogContext

_MULTI_GPU = ["first_gpu", "num_gpus"]
_BATCHING = ["batch_size", "min_batch_size", "min_batch_timeout", "tag", "inputs", "outputs"]
_POLLING = ["poll_frequency_ms", "num_tries"]
CALLS = {
    "put_tensor": ["name", "data"],
    "get_tensor": ["name"],
    "delete_tensor": ["name"],
    "copy_tensor": ["src_name", "dest_name"],
    "rename_tensor": ["old_name", "new_name"],
    "put_dataset": ["dataset"],
    "get_dataset": ["name"],
    "delete_dataset": ["name"],
    "copy_dataset": ["src_name", "dest_name"],
    "rename_dataset": ["old_name", "new_name"],
    "set_function": ["name", "function", "device"],
    "set_function_multigpu": ["name", "function", *_MULTI_GPU],
    "set_script": ["name", "script", "device"],
    "set_script_multigpu": ["name", "script", *_MULTI_GPU],
    "set_script_from_file": ["name", "file", "device"],
    "set_script_from_file_multigpu": ["name", "file", *_MULTI_GPU],
    "get_script": ["name"],
    "run_script": ["name", "fn_name", "inputs", "outputs"],
    "run_script_multigpu": ["name", "fn_name", "inputs", "outputs", "offset", *_MULTI_GPU],
    "delete_script": ["name"],
    "delete_script_multigpu": ["name", *_MULTI_GPU],
    "get_model": ["name"],
    "set_model": ["name", "model", "backend", "device", *_BATCHING],
    "set_model_multigpu": ["name", "model", "backend", *_MULTI_GPU, *_BATCHING],
    "set_model_from_file": ["name", "model_file", "backend", "device", *_BATCHING],
    "set_model_from_file_multigpu": ["name", "model_file", "backend", *_MULTI_GPU, *_BATCHING],
    "run_model": ["name", "inputs", "outputs"],
    "run_model_multigpu": ["name", "offset", *_MULTI_GPU, "inputs", "outputs"],
    "delete_model": ["name"],
    "delete_model_multigpu": ["name", *_MULTI_GPU],
    "tensor_exists": ["name"],
    "dataset_exists": ["name"],
    "model_exists": ["name"],
    "key_exists": ["key"],
    "poll_key": ["key", *_POLLING],
    "poll_tensor": ["name", *_POLLING],
    "poll_dataset": ["name", *_POLLING],
    "poll_model": ["name", *_POLLING],
    "set_data_source": ["source_id"],
    "use_tensor_ensemble_prefix": ["use_prefix"],
    "use_dataset_ensemble_prefix": ["use_prefix"],
    "use_model_ensemble_prefix": ["use_prefix"],
    "use_list_ensemble_prefix": ["use_prefix"],
    "get_db_node_info": ["addresses"],
    "get_db_cluster_info": ["addresses"],
    "get_ai_info": ["address", "key", "reset_stat"],
    "flush_db": ["addresses"],
    "config_get": ["expression", "address"],
    "config_set": ["config_param", "value", "address"],
    "save": ["addresses"],
    "set_model_chunk_size": ["chunk_size"],
    "append_to_list": ["list_name", "dataset"],
    "delete_list": ["list_name"],
    "copy_list": ["src_name", "dest_name"],
    "rename_list": ["src_name", "dest_name"],
    "get_list_length": ["list_name"],
    "poll_list_length": ["name", "list_length", *_POLLING],
    "poll_list_length_gte": ["name", "list_length", *_POLLING],
    "poll_list_length_lte": ["name", "list_length", *_POLLING],
    "get_datasets_from_list": ["list_name"],
    "get_dataset_list_range": ["list_name", "start_index", "end_index"],
    "log_data": ["level", "data"],
    "log_warning": ["level", "data"],
    "log_error": ["level", "data"],
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSDB", "SR_DB_TYPE", "SSKEYIN", "SSKEYOUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client() -> Client:
    return Client(store=InMemoryTensorStore())


@pytest.mark.parametrize("face", [Client, AsyncClient])
def test_calls_have_the_names_and_arguments_of_old(face: type) -> None:
    for name, arguments in CALLS.items():
        found = list(inspect.signature(getattr(face, name)).parameters)
        assert found[1:] in (arguments, [*arguments, "ttl"]), name


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("client", ["Client"]),
        ("configoptions", ["ConfigOptions"]),
        ("dataset", ["Dataset"]),
        ("dataset_utils", ["DatasetConverter"]),
        ("error", ["RedisConnectionError", "RedisReplyError", "RedisKeyError", "RedisTimeoutError"]),
        ("logcontext", ["LogContext"]),
        ("logger", ["SRLoggingLevel", "log_data", "log_error", "log_warning"]),
        ("srobject", ["SRLoggingLevel", "SRObject"]),
        ("util", ["Dtypes", "exception_handler", "init_default", "typecheck"]),
        ("smartredisPy", ["LLDebug", "LLDeveloper", "LLInfo", "LLQuiet", "PyDataset", "RedisRuntimeError"]),
    ],
)
def test_modules_have_what_scripts_import(module: str, names: list[str]) -> None:
    package, found = importlib.import_module("smartsim.client"), importlib.import_module(f"smartredis.{module}")
    for name in names:
        theirs = getattr(package, name.removeprefix("Py"), None)
        assert theirs is None or getattr(found, name) is theirs
        assert name in found.__all__


def test_arguments_of_errors_may_be_named() -> None:
    error = RedisReplyError(cpp_error="why", method="Client.get", key="k")
    assert (str(error), error.method, error.key) == ("Client.get execution failed\nwhy", "Client.get", "k")
    assert not str(RedisConnectionError())
    assert str(RedisConnectionError(cpp_error="why", address="a:1")).startswith("why\nCould not connect")


def through_pickle(error: Exception) -> Any:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - its own


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, through_pickle])
def test_errors_travel_between_processes(client: Client, duplicate: Callable[[Exception], Exception]) -> None:
    with pytest.raises(RedisKeyError) as caught:
        client.get_dataset("absent")
    found: Any = duplicate(caught.value)
    assert type(found) is RedisKeyError
    assert (str(found), found.method, found.key) == (str(caught.value), "Client.get_dataset", "{absent}")


# --- what stood for native objects


def test_datasets_stand_for_their_native_objects() -> None:
    one, other = Dataset("one"), Dataset("other")
    other.add_tensor("x", np.ones(2))
    assert Dataset.from_pybind(other.get_data()) is other
    one.set_data(other.get_data())
    one.add_meta_string("s", "text")
    assert (one.get_name(), one.get_tensor_names(), other.get_meta_strings("s")) == ("other", ["x"], ["text"])
    with pytest.raises(TypeError, match="Argument dataset is of type <class 'str'>"):
        one.set_data("other")  # type: ignore[arg-type]  # is what is tested


def test_options_stand_for_their_native_objects() -> None:
    one, other = ConfigOptions(), ConfigOptions.create_from_environment("ocean")
    assert ConfigOptions.from_pybind(other.get_data()) is other
    one.set_configoptions(other.get_data())
    one.override_string_option("SSDB", "a:1")
    assert (one.suffix, other.get_string_option("SSDB")) == ("ocean", "a:1")


def test_log_contexts_stand_for_their_native_objects(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = LogContext("one"), LogContext("other")
    assert LogContext.from_pybind(other.get_context()) is other
    one.set_context(other.get_context())
    one.log_data(importlib.import_module("smartredis").LLQuiet, "text")
    assert capsys.readouterr().out.startswith("other@")


# --- arguments


def test_an_unknown_data_source_names_the_call(client: Client) -> None:
    with pytest.raises(RedisRuntimeError, match=r"^Client.set_data_source execution failed\n'x' is not a data source"):
        client.set_data_source("x")
    with pytest.raises(RedisRuntimeError, match="^AsyncClient.set_data_source execution failed\n"):
        AsyncClient(store=AsyncInMemoryTensorStore(InMemoryTensorStore())).set_data_source("x")


def test_a_bool_is_a_number_for_options() -> None:
    options = ConfigOptions.create_from_environment("")
    options.override_integer_option("X", True)
    assert options.get_integer_option("X") == 1


def test_an_empty_address_leaves_it_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSDB", "no address")
    with pytest.raises(RedisConnectionError, match="Could not connect to Orchestrator at no address"):
        Client(False, "")


@pytest.mark.parametrize("argument", ["username", "password"])
def test_names_and_passwords_are_texts(argument: str) -> None:
    with pytest.raises(TypeError, match=f"Argument {argument} is of type <class 'int'>, not <class 'str'>"):
        Client(False, "127.0.0.1:1", **{argument: 5})  # type: ignore[call-overload]  # is what is tested


def test_scripts_are_texts(client: Client) -> None:
    with pytest.raises(TypeError, match="Argument script is of type <class 'bytes'>, not <class 'str'>"):
        client.set_script("s", b"def f(x): return x")  # type: ignore[arg-type]  # is what is tested
    with pytest.raises(TypeError, match="Argument script is of type <class 'bytes'>, not <class 'str'>"):
        client.set_script_multigpu("s", b"def f(x): return x", 0, 1)  # type: ignore[arg-type]  # likewise


def test_arrays_of_xarray_need_names() -> None:
    add: Callable[..., None] = DatasetConverter.add_metadata_for_xarray
    for names, argument in (((None, "d"), "data_names"), (("x", None), "dim_names")):
        with pytest.raises(TypeError, match=f"Argument {argument} is of type <class 'NoneType'>, not <class 'list'>"):
            add(Dataset("d"), *names)


@pytest.mark.parametrize("name", ["plain", "bräu", "caf\udce9", "a\0b", "{}", "}{"])
def test_any_name_is_the_same_for_all_calls(client: Client, name: str) -> None:
    client.put_tensor(name, np.ones(2))
    assert client.tensor_exists(name)
    with client.pipeline() as pipeline:
        pipeline.put_tensor(name, np.zeros(3))
    assert client.get_tensor(name).shape == (3,)
    client.put_tensor(name, np.zeros(4), ttl=60)
    assert client.get_tensor(name).shape == (4,)


def test_names_that_cannot_be_sent(client: Client) -> None:
    for call in (client.get_tensor, client.tensor_exists, lambda name: client.put_tensor(name, np.ones(1))):
        with pytest.raises(ValueError, match=r"The name '\\ud800' cannot be sent"):
            call("\ud800")


# --- pipelines


def test_a_pipeline_that_has_been_carried_out_takes_no_more_calls(client: Client) -> None:
    with client.pipeline() as pipeline:
        pipeline.put_tensor("x", np.ones(1))
    with pytest.raises(RedisRuntimeError, match="This pipeline has been carried out: begin another one"):
        pipeline.put_tensor("y", np.ones(1))
    with pytest.raises(RedisRuntimeError, match="This pipeline has been carried out: begin another one"):
        pipeline.delete_tensor("x")
    assert client.tensor_exists("x")


def test_a_pipeline_names_the_call_whose_argument_is_wrong(client: Client) -> None:
    wrong = pytest.raises(RedisRuntimeError, match="^Pipeline.copy_tensor execution failed\nArgument src_name is empty")
    with wrong, client.pipeline() as pipeline:
        pipeline.copy_tensor("", "x")
