from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.client_config import RetryPolicy, parse_integer, read_client_config, variable_name


def test_an_empty_environment_gives_the_defaults() -> None:
    for environment in ({}, {"SR_CONN_TIMEOUT": "", "SR_SOCKET_TIMEOUT": ""}):
        config = read_client_config(environment.get)
        assert config.connecting == config.commands == RetryPolicy(timeout=100, interval=1)
        assert config.commands.attempts == 101
        assert config.socket_timeout == 60


def test_each_number_has_its_variable() -> None:
    environment = {
        "SR_CONN_TIMEOUT": "1",
        "SR_CONN_INTERVAL": "200",
        "SR_CMD_TIMEOUT": "3",
        "SR_CMD_INTERVAL": "400",
        "SR_SOCKET_TIMEOUT": "250",
    }
    config = read_client_config(environment.get)
    assert config.connecting == RetryPolicy(timeout=1, interval=0.2)
    assert config.commands == RetryPolicy(timeout=3, interval=0.4)
    assert config.socket_timeout == 0.25


def test_what_is_given_to_log_in_with_comes_before_what_the_environment_says() -> None:
    environment = {"SR_DB_USERNAME": "reader", "SR_DB_PASSWORD": "secret"}
    config = read_client_config(environment.get)
    assert (config.username, config.password) == ("reader", "secret")
    assert "secret" not in repr(config)
    config = read_client_config(environment.get, "", "writer", "other")
    assert (config.username, config.password) == ("writer", "other")
    config = read_client_config({"SR_DB_PASSWORD": ""}.get)
    assert (config.username, config.password) == (None, None)


@pytest.mark.parametrize("text", ["abc", "1.5", "1 ", "0x10", "--1", "٣", "99999999999", "0", "-3"])
def test_a_number_that_cannot_be_is_named_with_its_variable(text: str) -> None:
    with pytest.raises(ValueError, match=f"SR_CMD_TIMEOUT_ocean is '?{text}"):
        read_client_config({"SR_CMD_TIMEOUT": text}.get, "ocean")


@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_whole_numbers_are_read(number: int) -> None:
    assert parse_integer("ANY", str(number)) == number


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_there_is_always_one_attempt_and_they_fit_in_the_time(timeout: int, interval: int) -> None:
    attempts = RetryPolicy(timeout, interval).attempts
    assert (attempts - 1) * interval <= timeout < attempts * interval


def test_options_of_the_process_take_no_suffix() -> None:
    assert variable_name("SSDB", "") == "SSDB"
    assert variable_name("SSKEYIN", "ocean") == "SSKEYIN_ocean"
    assert variable_name("SR_LOG_FILE", "ocean") == "SR_LOG_FILE"
