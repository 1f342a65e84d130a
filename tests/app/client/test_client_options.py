"""Options, log lines, and the names under which scripts import all this."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest

import smartredis
import smartredis.client
import smartredis.configoptions
import smartredis.error
import smartredis.logcontext
import smartredis.logger
import smartredis.srobject
import smartsim.client
from smartsim.adapters.tensors.in_memory import InMemoryTensorStore
from smartsim.client import (
    Client,
    ConfigOptions,
    LLDebug,
    LLDeveloper,
    LLInfo,
    LLQuiet,
    LogContext,
    RedisKeyError,
    RedisRuntimeError,
    SRLoggingLevel,
    SRObject,
    log_data,
    log_error,
    log_warning,
)

# --- options


def test_options_come_from_the_environment_with_the_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSDB_ocean", "a:1")
    monkeypatch.setenv("SR_CMD_TIMEOUT_ocean", "-7")
    monkeypatch.setenv("SR_LOG_LEVEL", "DEBUG")
    options = ConfigOptions.create_from_environment("ocean")
    assert options.get_string_option("SSDB") == "a:1"
    assert options.get_integer_option("SR_CMD_TIMEOUT") == -7
    assert options.get_string_option("SR_LOG_LEVEL") == "DEBUG"
    assert options.is_configured("SSDB")
    assert not options.is_configured("SSKEYIN")


def test_an_option_stays_as_it_was_first_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANY", "1")
    options = ConfigOptions.create_from_environment("")
    assert options.get_integer_option("ANY") == 1
    monkeypatch.setenv("ANY", "2")
    assert options.get_integer_option("ANY") == 1
    assert ConfigOptions.create_from_environment("").get_integer_option("ANY") == 2


def test_overriding_is_for_these_options_only() -> None:
    options = ConfigOptions.create_from_environment("x")
    options.override_string_option("SSDB", "b:2")
    options.override_integer_option("SR_CMD_TIMEOUT", 5)
    assert options.get_string_option("SSDB") == "b:2"
    assert options.get_integer_option("SR_CMD_TIMEOUT") == 5
    assert "SSDB_x" not in os.environ
    assert not ConfigOptions.create_from_environment("x").is_configured("SSDB")


@pytest.mark.parametrize("name", ["NOT_SET", ""])
def test_an_option_that_is_not_set_is_named(name: str) -> None:
    options = ConfigOptions.create_from_environment("x")
    for get in (options.get_string_option, options.get_integer_option):
        with pytest.raises(RedisKeyError, match=f"No value found for key {name}_x"):
            get(name)


def test_options_of_other_types_are_refused() -> None:
    options = ConfigOptions.create_from_environment("")
    options.override_string_option("WORD", "abc")
    with pytest.raises(ValueError, match="WORD is 'abc'"):
        options.get_integer_option("WORD")
    for call in (
        lambda: ConfigOptions.create_from_environment(None),  # type: ignore[arg-type]
        lambda: options.get_string_option(1),  # type: ignore[arg-type]
        lambda: options.override_integer_option("A", "1"),  # type: ignore[arg-type]
        lambda: options.override_string_option("A", 1),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=r"Argument .* is of type"):
            call()


def test_options_not_made_by_the_factory_say_so() -> None:
    with pytest.raises(RedisRuntimeError, match="not created from a factory method"):
        ConfigOptions().get_string_option("SSDB")


# --- log lines


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SR_LOG_FILE", str(tmp_path / "log"))
    monkeypatch.delenv("SR_LOG_LEVEL", raising=False)
    return tmp_path / "log"


def test_every_way_of_logging_writes_its_line(log: Path) -> None:
    log_data("me", LLInfo, "a")
    log_warning("me", LLInfo, "b")
    log_error("me", LLQuiet, "c")
    LogContext("context").log_data(LLInfo, "d")
    SRObject("object").log_warning(LLInfo, "e")
    Client(logger_name="client", store=InMemoryTensorStore()).log_error(LLInfo, "f é")
    lines = re.sub(r"@\d\d-\d\d-\d\d:", "@:", log.read_text(encoding="utf-8")).splitlines()
    assert lines == [
        "me@:a",
        "me@:WARNING: b",
        "me@:ERROR: c",
        "context@:d",
        "object@:WARNING: e",
        "client@:ERROR: f é",
    ]


def test_without_a_file_lines_go_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SR_LOG_FILE", raising=False)
    log_data("me", LLQuiet, "hello")
    assert re.fullmatch(r"me@\d\d-\d\d-\d\d:hello\n", capsys.readouterr().out)


@pytest.mark.parametrize(("level", "lines"), [("QUIET", 1), ("info", 2), ("Debug", 3), ("DEVELOPER", 4), ("", 2)])
def test_lines_above_the_level_are_left_out(log: Path, monkeypatch: pytest.MonkeyPatch, level: str, lines: int) -> None:
    monkeypatch.setenv("SR_LOG_LEVEL", level)
    for each in (LLQuiet, LLInfo, LLDebug, LLDeveloper):
        log_data("me", each, str(each))
    assert len(log.read_text().splitlines()) == lines


def test_what_cannot_be_logged_is_refused(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="Argument level is of type <class 'int'>"):
        log_data("me", 2, "a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Argument data"):
        log_data("me", LLInfo, 2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Argument context"):
        LogContext(2)  # type: ignore[arg-type]
    monkeypatch.setenv("SR_LOG_FILE", str(log.parent))
    with pytest.raises(RedisRuntimeError, match="SR_LOG_FILE"):
        log_data("me", LLInfo, "a")
    monkeypatch.setenv("SR_LOG_LEVEL", "LOUD")
    with pytest.raises(ValueError, match="SR_LOG_LEVEL is 'LOUD': use one of QUIET"):
        log_data("me", LLInfo, "a")


def test_levels_have_the_numbers_of_old() -> None:
    assert [level.value for level in (LLQuiet, LLInfo, LLDebug, LLDeveloper)] == [1, 2, 3, 4]
    assert all(isinstance(level, SRLoggingLevel) for level in (LLQuiet, LLInfo, LLDebug, LLDeveloper))


# --- names


def test_the_old_import_paths_lead_here() -> None:
    for name in smartredis.__all__:
        assert getattr(smartredis, name) is getattr(smartsim.client, name)
    assert smartredis.client.Client is Client
    assert smartredis.configoptions.ConfigOptions is ConfigOptions
    assert smartredis.error.RedisReplyError is smartsim.client.RedisReplyError
    assert smartredis.logcontext.LogContext is LogContext
    assert smartredis.logger.log_data is log_data
    assert smartredis.srobject.SRObject is SRObject


@pytest.mark.parametrize("name", [name for name in smartredis.error.__all__ if name != "RedisConnectionError"])
def test_reply_errors_are_made_as_of_old_and_survive_pickling(name: str) -> None:
    kind = getattr(smartredis.error, name)
    error = kind("why", "Client.get_tensor", "key")
    assert str(error) == "Client.get_tensor execution failed\nwhy"
    assert str(kind("why")) == "why"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - what multiprocessing does with it
    assert (str(copy), copy.key) == (str(error), "key")
    assert isinstance(error, smartredis.error.RedisReplyError)
    assert isinstance(error, RuntimeError)


def test_a_connection_error_says_where() -> None:
    error = smartredis.error.RedisConnectionError("why", "a:1")
    assert str(pickle.loads(pickle.dumps(error))) == "why\nCould not connect to Orchestrator at a:1"  # noqa: S301 - as above
    assert isinstance(error, RuntimeError)
