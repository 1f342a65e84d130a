"""Passwords of databases, each in a file for its owner alone."""

from __future__ import annotations

import posixpath
import secrets
from typing import TYPE_CHECKING

from smartsim.domain.errors import SmartSimError
from smartsim.ports.database_server import Credentials

if TYPE_CHECKING:
    from smartsim.ports.file_system import FileReader, FileSystem

ADMINISTRATOR = "admin"
"""As whom drivers log in."""

_ADMINISTRATORS_FILE = "admin_password"
_BYTES = 24  # as many as nobody guesses
_MODE = 0o600


def draw_secret() -> str:
    """Return a new password: 32 letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(_BYTES)


def write_secret(files: FileSystem, path: str, secret: str) -> None:
    """Write a password into a file."""
    files.write(path, f"{secret}\n".encode(), _MODE)


def read_secret(files: FileReader, path: str) -> str:
    """Return the password in a file.

    Raises:
        SmartSimError: it cannot be read.
    """
    try:
        return files.read(path).decode().strip()
    except OSError as error:
        raise SmartSimError(
            f"The password of the database in {posixpath.dirname(path)} cannot be read from {path}: {error.strerror}"
        ) from error


def administrators_file(directory: str) -> str:
    """Return the path of the file with the administrator's password of the database in a directory."""
    return posixpath.join(directory, _ADMINISTRATORS_FILE)


def read_administrator(files: FileReader, directory: str) -> Credentials:
    """Return the administrator of the database in a directory.

    Raises:
        SmartSimError: the password cannot be read.
    """
    return Credentials(ADMINISTRATOR, read_secret(files, administrators_file(directory)))
