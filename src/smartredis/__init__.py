"""`smartsim.client` under the name that application scripts import."""

from smartredis import (  # noqa: F401 - reached as attributes
    client,
    configoptions,
    dataset,
    dataset_utils,
    error,
    logcontext,
    logger,
    smartredisPy,
    srobject,
    util,
)
from smartsim.client import (
    Client,
    ConfigOptions,
    Dataset,
    DatasetConverter,
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
    "Dataset",
    "DatasetConverter",
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
