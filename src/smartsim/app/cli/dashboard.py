"""`smart dashboard`: a web application on this machine that shows an experiment."""

from __future__ import annotations

import json
import os
import secrets
import shlex
from typing import Annotated

import typer

from smartsim.adapters.clock.system import SystemClock
from smartsim.app.cli.options import Directory, Json
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader
from smartsim.app.remote_control import RemoteControl, user_here
from smartsim.domain.errors import SmartSimError
from smartsim.domain.history import History


def dashboard(
    directory: Directory,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="TCP port; 0 for one that is free.")] = 0,
    control: Annotated[bool, typer.Option("--control", help="Let its pages stop and restart entities.")] = False,
    as_json: Json = False,
) -> None:
    """Show an experiment in a browser, while it runs and afterwards, until Ctrl-C."""
    try:
        from smartsim.app.dashboard.server import HOST, Dashboard, listen, serve
    except ModuleNotFoundError as error:
        package = (error.name or "a package").partition(".")[0]
        typer.echo(f"The dashboard needs {package}: pip install 'smartsim-next[dashboard]'", err=True)
        raise typer.Exit(os.EX_CONFIG) from None
    token, who = secrets.token_urlsafe(32), user_here()
    try:
        reader = ExperimentReader(directory)

        def find_control(history: History) -> RemoteControl:
            return RemoteControl(reader.directory, history)

        application = Dashboard(
            reader,
            LogFiles(reader),
            token,
            SystemClock(),
            find_control if control else None,
            by=f"{who} with smart dashboard",
        )
        listener = listen(port)
    except SmartSimError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(os.EX_SOFTWARE) from None
    with listener:
        chosen = listener.getsockname()[1]
        url = f"http://{HOST}:{chosen}/?token={token}"
        ssh = shlex.join(["ssh", "-N", "-L", f"{chosen}:{HOST}:{chosen}", who])
        _announce(url, ssh, as_json=as_json)
        serve(application, listener)


def _announce(url: str, ssh: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"url": url, "ssh": ssh}))
    else:
        typer.echo(
            f"{url}\n\nFrom another machine, run this there first, and leave it running:\n  {ssh}\n\nCtrl-C ends it."
        )
