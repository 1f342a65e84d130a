"""The clients for applications, what they put and get, their options, log lines and exceptions."""

from smartsim.app.client.async_client import AsyncClient
from smartsim.app.client.async_stream import AsyncConsumer, AsyncStream
from smartsim.app.client.client import Client
from smartsim.app.client.config_options import ConfigOptions
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_converter import DatasetConverter
from smartsim.app.client.logging import (
    LLDebug,
    LLDeveloper,
    LLInfo,
    LLQuiet,
    LogContext,
    SRLoggingLevel,
    SRObject,
    log_data,
    log_error,
    log_warning,
)
from smartsim.app.client.pipeline import Pending, Pipeline
from smartsim.app.client.stream import Consumer, Stream
from smartsim.domain.client_errors import (
    RedisBadAllocError,
    RedisConnectionError,
    RedisDatabaseError,
    RedisInternalError,
    RedisKeyError,
    RedisReplyError,
    RedisRuntimeError,
    RedisTimeoutError,
)

__all__ = [
    "AsyncClient",
    "AsyncConsumer",
    "AsyncStream",
    "Client",
    "ConfigOptions",
    "Consumer",
    "Dataset",
    "DatasetConverter",
    "LLDebug",
    "LLDeveloper",
    "LLInfo",
    "LLQuiet",
    "LogContext",
    "Pending",
    "Pipeline",
    "RedisBadAllocError",
    "RedisConnectionError",
    "RedisDatabaseError",
    "RedisInternalError",
    "RedisKeyError",
    "RedisReplyError",
    "RedisRuntimeError",
    "RedisTimeoutError",
    "SRLoggingLevel",
    "SRObject",
    "Stream",
    "log_data",
    "log_error",
    "log_warning",
]
