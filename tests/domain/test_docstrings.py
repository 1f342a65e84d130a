"""The examples in docstrings that need no world around them do what they say."""

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import smartsim.adapters
import smartsim.domain


def modules(package: ModuleType) -> list[str]:
    return [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if not found.ispkg]


@pytest.mark.parametrize("name", [*modules(smartsim.domain), *modules(smartsim.adapters)])
def test_examples(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
