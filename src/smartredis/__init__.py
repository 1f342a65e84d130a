"""`smartsim.client` under the name that application scripts import."""

from smartredis import client, configoptions, error, logcontext, logger, srobject  # noqa: F401 - reached as attributes
from smartsim.client import (
    Client,
    ConfigOptions,
    LLDebug,
    LLDeveloper,
    LLInfo,
    LLQuiet,
    LogContext,
    SRObject,
    log_data,
    log_error,
    log_warning,
)

__all__ = [
    "Client",
    "ConfigOptions",
    "LLDebug",
    "LLDeveloper",
    "LLInfo",
    "LLQuiet",
    "LogContext",
    "SRObject",
    "log_data",
    "log_error",
    "log_warning",
]
