"""The command `smart`: what is installed, whether it works, what experiments do, and what they left running.

Exit codes are those of `sysexits.h`: 64 for a command line that makes no sense, 70 when what was tried failed; 1 when
`smart reap` left something running, or nothing was found in a log; and 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys

import typer

from smartsim.app.cli import building, leftovers
from smartsim.app.cli.dashboard import dashboard
from smartsim.app.cli.database_client import dbcli
from smartsim.app.cli.doctor import doctor
from smartsim.app.cli.installation import info, site
from smartsim.app.cli.logs import logs
from smartsim.app.cli.report import report
from smartsim.app.cli.telemetry import telemetry
from smartsim.app.cli.validation import validate
from smartsim.app.cli.watch import watch

__all__ = ["main", "smart"]

_USAGE_ERROR = 2  # what typer exits with

smart = typer.Typer(
    help="Look at experiments, at what they left running, and at this installation of smartsim-next.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (info, site, validate, doctor, dbcli, leftovers.ps, leftovers.reap_command):
    smart.command(command.__name__.removesuffix("_command"))(command)
for face in (watch, dashboard, report, logs, telemetry):
    smart.command()(face)
for command in (building.build, building.clean, building.clobber, building.teardown):
    smart.command(context_settings=building.ANY_OPTIONS)(command)


def main() -> None:
    """Run the command line; the entry point of `smart`."""
    try:
        smart(prog_name="smart")
    except SystemExit as end:
        if end.code != _USAGE_ERROR:
            raise
        smart(["--help"], prog_name="smart", standalone_mode=False)
        sys.exit(os.EX_USAGE)
