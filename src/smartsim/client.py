"""The client for applications: `Client`, its options, its log lines and its exceptions."""

from smartsim.app.client.client import Client
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
from smartsim.app.client.config_options import ConfigOptions
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
    "Client",
    "ConfigOptions",
    "LLDebug",
    "LLDeveloper",
    "LLInfo",
    "LLQuiet",
    "LogContext",
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
    "log_data",
    "log_error",
    "log_warning",
]
