"""What a person sees while an experiment runs."""

import os
import pty
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from smartsim import Experiment
exp = Experiment("study", sys.argv[1])
settings = exp.create_run_settings("sh", ["-c", "sleep 0.$SSKEYOUT_DIGIT 2>/dev/null; sleep 1; exit 0"])
ensemble = exp.create_ensemble("e", run_settings=settings, replicas=3)
failing = exp.create_model("f", exp.create_run_settings("false"))
exp.start(ensemble, failing, block=True)
"""


def test_a_terminal_shows_a_live_line(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    driver = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert driver.wait(timeout=60) == 0
    text = shown.decode()
    assert "3 running, 0 done, " in text
    assert "1 failed" in text
    assert " of 4, 0:00 elapsed" in text


def test_elsewhere_nothing_but_the_log_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "elapsed" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert "e_0(" in done.stdout
