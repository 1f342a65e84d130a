"""What jobs write, as text that a person can be shown; and which lines of it are errors."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterable

# What terminals and browsers would act on: control characters, and what turns the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_ERRORS = (
    rb"Traceback \(most recent call last\)",
    rb"^(?:[\w.]+\.)?\w*(?:Error|Exception)\b(?:: |:?[ \t]*$)",  # what a traceback ends with
    rb"\b(?:FATAL|CRITICAL|PANIC|ERROR)\b",
    # Programs print a norm as "error: 1e-5", too.
    rb"\b(?:[Ff]atal|[Ee]rror): (?! *[-+]?[\d.])",
    rb"\b(?:[Ff]atal|[Ii]nternal|CUDA|NCCL|Bus|[Ss]yntax) error\b",
    rb"[Ss]egmentation fault|Floating point exception|Illegal instruction|core dumped|\bAborted\b|^Killed\b",
    rb"MPI_Abort|MPI_ABORT|\bSIG(?:SEGV|ABRT|FPE|BUS|ILL|KILL)\b",
    rb"[Oo]ut of memory|oom[-_]kill|Cannot allocate memory|std::bad_alloc",
    rb"No such file or directory|command not found|: not found$|[Pp]ermission denied|No space left on device",
    rb"undefined symbol|error while loading shared libraries|cannot open shared object",
    rb"terminate called|panicked at|[Aa]ssertion .{0,500}failed|forrtl: severe|^STOP [1-9]",
)
_HINTS = (
    *(b"traceback", b"error", b"exception", b"fatal", b"critical", b"panic", b"abort", b"killed", b"core dumped"),
    *(b"segmentation fault", b"illegal instruction", b"out of memory", b"oom-kill", b"oom_kill", b"bad_alloc"),
    *(b"sigsegv", b"sigbus", b"sigfpe", b"sigill", b"sigkill", b"cannot allocate", b"no such file", b"not found"),
    *(b"permission denied", b"no space left", b"undefined symbol", b"cannot open shared", b"terminate called"),
    *(b"assertion", b"forrtl", b"stop "),
)
ERROR = re.compile(b"|".join(_ERRORS), re.MULTILINE)
"""Is found in what looks like an error: of Python, MPI, schedulers, CUDA, shells, C, C++ and Fortran."""


def shown(content: bytes) -> str:
    r"""Return bytes as text. What is no UTF-8, and control characters but tabs and ends of lines, are shown as escapes.

    Example:
        >>> shown(b"dt\t0.1\r\n\x1b[31m\xff")
        'dt\t0.1\n\\x1b[31m\\xff'
    """
    text = content.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def whole(content: bytes) -> bytes:
    """Return bytes without the part of a character at their end, unless they are nothing else.

    Example:
        >>> whole("né".encode()[:2])
        b'n'
    """
    decoder = getincrementaldecoder("utf-8")("backslashreplace")
    decoder.decode(content)
    begun, _ = decoder.getstate()
    return content[: len(content) - len(begun)] or content


def last_lines(content: bytes, lines: int) -> bytes:
    r"""Return the last lines of some content.

    Example:
        >>> last_lines(b"1\n2\n3\n", 2)
        b'2\n3\n'
    """
    begin = len(content) - content.endswith(b"\n")
    for _ in range(lines):
        begin = content.rfind(b"\n", 0, begin)
        if begin < 0:
            return content
    return content[begin + 1 :]


def may_have_error(content: bytes) -> bool:
    """Return whether `ERROR` is worth looking for: where this is false, it is not there. This is much faster."""
    lowered = content.lower()
    return any(hint in lowered for hint in _HINTS)


def first_error(lines: Iterable[str]) -> str:
    """Return the first line that looks like an error; empty without one.

    Example:
        >>> first_error(["step 1", "error: 1e-5", "srun: error: node7: task 3: Killed"])
        'srun: error: node7: task 3: Killed'
    """
    return next((line for line in lines if ERROR.search(line.encode("utf-8", "replace"))), "")
