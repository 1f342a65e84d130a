import pickle

import pytest

from smartsim.domain import client_errors, errors
from smartsim.domain.errors import EntityExistsError, ParameterWriterError, ShellError, SmartSimError, UserStrategyError

EXAMPLES = [
    ShellError("it failed", ["sh", "-c", "exit 1"], "why"),
    ParameterWriterError("in.txt", read=False, reason="no space"),
    UserStrategyError("mine"),
    EntityExistsError("m exists"),
    client_errors.RedisConnectionError("refused", "127.0.0.1:1"),
    client_errors.RedisKeyError("no such key", "Client.get_tensor", "k"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_the_way_between_processes(error: SmartSimError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("module", [errors, client_errors])
def test_every_error_is_under_the_root(module: object) -> None:
    classes = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, SmartSimError) for kind in classes)
