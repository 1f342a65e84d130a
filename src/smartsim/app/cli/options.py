"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Directory: TypeAlias = Annotated[str, typer.Argument(metavar="DIRECTORY", help="The directory of the experiment.")]
