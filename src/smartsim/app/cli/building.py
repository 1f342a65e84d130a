"""`smart build`, `clean`, `clobber` and `teardown`: what installations needed once, and scripts still call."""

from __future__ import annotations

from typing import Final

import typer

ANY_OPTIONS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of these commands: they take whatever options they had in any version of SmartSim."""

_NOTHING_BUILT: Final = (
    "There is nothing to remove: nothing was built. `pip uninstall` removes what `pip install` brought."
)


def build() -> None:
    """Do nothing: nothing needs building any more."""
    typer.echo(
        "Nothing needs building any more: the server and its module came with `pip install`. Frameworks that run "
        "models come with extras, such as pip install 'smartsim-next[torch]'. `smart validate` tries all that is there."
    )


def clean() -> None:
    """Do nothing: nothing was built."""
    typer.echo(_NOTHING_BUILT)


def clobber() -> None:
    """Do nothing: nothing was built."""
    typer.echo(_NOTHING_BUILT)


def teardown() -> None:
    """Do nothing: no runtime outlives its experiments unseen."""
    typer.echo("There is nothing to tear down. `smart ps` lists what experiments left running, `smart reap` ends it.")
