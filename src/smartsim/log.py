"""Logging for driver scripts: `get_logger`, and what belongs to it."""

from smartsim.app.logs import (
    DEFAULT_DATE_FORMAT,
    DEFAULT_LOG_FORMAT,
    EXPERIMENT_LOG_FORMAT,
    ContextAwareLogger,
    ContextInjectingLogFilter,
    ContextThread,
    HostnameFilter,
    LowPassFilter,
    ctx_exp_path,
    get_exp_log_paths,
    get_logger,
    log_to_exp_file,
    log_to_file,
    method_contextualizer,
)

__all__ = [
    "DEFAULT_DATE_FORMAT",
    "DEFAULT_LOG_FORMAT",
    "EXPERIMENT_LOG_FORMAT",
    "ContextAwareLogger",
    "ContextInjectingLogFilter",
    "ContextThread",
    "HostnameFilter",
    "LowPassFilter",
    "ctx_exp_path",
    "get_exp_log_paths",
    "get_logger",
    "log_to_exp_file",
    "log_to_file",
    "method_contextualizer",
]
