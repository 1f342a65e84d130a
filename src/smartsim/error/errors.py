"""Every exception that scripts may catch."""

from __future__ import annotations

from smartsim.domain.errors import (
    AllocationError,
    EntityExistsError,
    LauncherError,
    LauncherUnsupportedFeature,
    ParameterWriterError,
    PreviewFormatError,
    ShellError,
    SmartSimCLIActionCancelled,
    SmartSimError,
    SSConfigError,
    SSDBFilesNotParseable,
    SSDBIDConflictError,
    SSInternalError,
    SSReservedKeywordError,
    SSUnsupportedError,
    TelemetryError,
    UnproxyableStepError,
    UserStrategyError,
)

__all__ = [
    "AllocationError",
    "EntityExistsError",
    "LauncherError",
    "LauncherUnsupportedFeature",
    "ParameterWriterError",
    "PreviewFormatError",
    "SSConfigError",
    "SSDBFilesNotParseable",
    "SSDBIDConflictError",
    "SSInternalError",
    "SSReservedKeywordError",
    "SSUnsupportedError",
    "ShellError",
    "SmartSimCLIActionCancelled",
    "SmartSimError",
    "TelemetryError",
    "UnproxyableStepError",
    "UserStrategyError",
]
