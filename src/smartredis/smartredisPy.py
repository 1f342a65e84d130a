"""What scripts import from the native module of old."""  # noqa: N999 - the name is theirs

from smartsim.client import Dataset as PyDataset
from smartsim.client import (
    LLDebug,
    LLDeveloper,
    LLInfo,
    LLQuiet,
    RedisBadAllocError,
    RedisDatabaseError,
    RedisInternalError,
    RedisKeyError,
    RedisReplyError,
    RedisRuntimeError,
    RedisTimeoutError,
    SRLoggingLevel,
)

__all__ = [
    "LLDebug",
    "LLDeveloper",
    "LLInfo",
    "LLQuiet",
    "PyDataset",
    "RedisBadAllocError",
    "RedisDatabaseError",
    "RedisInternalError",
    "RedisKeyError",
    "RedisReplyError",
    "RedisRuntimeError",
    "RedisTimeoutError",
    "SRLoggingLevel",
]
