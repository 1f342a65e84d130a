"""The process of `smart dashboard`: `python -m smartsim.app.dashboard DIRECTORY PORT [--control] [--json]`."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys

from smartsim.adapters.clock.system import SystemClock
from smartsim.app.dashboard.server import HOST, Dashboard, listen, serve
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader
from smartsim.app.remote_control import RemoteControl, user_here
from smartsim.domain.errors import SmartSimError
from smartsim.domain.history import History


def main(directory: str, port: int, *, control: bool, as_json: bool) -> int:
    """Show an experiment until SIGINT or SIGTERM.

    Args:
        directory: of the experiment.
        port: the TCP port; 0 for one that is free.
        control: whether its pages can stop and restart entities.
        as_json: whether the address is printed for programs.

    Returns:
        The exit code.
    """
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
        print(error, file=sys.stderr)  # noqa: T201 - what a command says
        return os.EX_SOFTWARE
    with listener:
        chosen = listener.getsockname()[1]
        url = f"http://{HOST}:{chosen}/?token={token}"
        ssh = shlex.join(["ssh", "-N", "-L", f"{chosen}:{HOST}:{chosen}", who])
        print(_announcement(url, ssh, as_json=as_json), flush=True)  # noqa: T201 - what a command says
        serve(application, listener)
    return os.EX_OK


def _announcement(url: str, ssh: str, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"url": url, "ssh": ssh})
    return f"{url}\n\nFrom another machine, run this there first, and leave it running:\n  {ssh}\n\nCtrl-C ends it."


if __name__ == "__main__":
    chosen_directory, chosen_port, *options = sys.argv[1:]
    try:
        code = main(chosen_directory, int(chosen_port), control="--control" in options, as_json="--json" in options)
    except KeyboardInterrupt:  # it was told to end before it had begun
        code = 130
    sys.exit(code)
