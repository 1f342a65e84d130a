"""The exceptions; `smartsim.domain.errors` shows which is under which."""

from __future__ import annotations

from smartsim.error.errors import (
    AllocationError,
    EntityExistsError,
    LauncherError,
    LauncherUnsupportedFeature,
    ParameterWriterError,
    ShellError,
    SmartSimError,
    SSConfigError,
    SSDBFilesNotParseable,
    SSDBIDConflictError,
    SSInternalError,
    SSReservedKeywordError,
    SSUnsupportedError,
    UserStrategyError,
)

__all__ = [
    "AllocationError",
    "EntityExistsError",
    "LauncherError",
    "LauncherUnsupportedFeature",
    "ParameterWriterError",
    "SSConfigError",
    "SSDBFilesNotParseable",
    "SSDBIDConflictError",
    "SSInternalError",
    "SSReservedKeywordError",
    "SSUnsupportedError",
    "ShellError",
    "SmartSimError",
    "UserStrategyError",
]
