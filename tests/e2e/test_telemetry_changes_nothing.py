"""With telemetry and without it, an experiment does the same, and its jobs see the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from scripts import processes_in, run_script
from servers import free_port

DRIVER = """
import sys
from pathlib import Path
from smartsim import Experiment
from smartsim.error import SmartSimError

directory, probe, position = sys.argv[1:]
exp = Experiment("study", directory)
getattr(exp.telemetry, position)()

def model(name, exe, *words):
    return exp.create_model(name, exp.create_run_settings(exe, list(words)))

with exp:
    database = exp.create_database(port=int(Path(directory, "port").read_text()), interface="lo")
    getattr(database.telemetry, position)()
    python = sys.executable
    seen = model("seen", python, probe, "a|b", "", "ü > out", "$HOME", "-x=1")
    beside = model("beside", python, probe)
    beside.colocate_db_uds(unix_socket=f"{directory}/socket", db_identifier="near", custom_pinning=[])
    members = exp.create_ensemble("e", {"x": [1, 2]}, run_settings=exp.create_run_settings(python, [probe, "member"]))
    members.enable_key_prefixing()
    exit_codes = [model(f"code{code}", "sh", "-c", f"exit {code}") for code in (0, 1, 3, 255)]
    killed = [model(f"signal{number}", "sh", "-c", f"kill -{number} $$") for number in (9, 11)]
    stopped = model("stopped", "sleep", "600")
    broken = Path(directory, "broken")
    broken.write_text("#!/no/such/interpreter\\n")
    broken.chmod(0o755)
    exp.generate(seen, beside, members, overwrite=True)
    exp.start(database)
    exp.start(seen, beside, members, *exit_codes, *killed)
    exp.start(stopped, block=False)
    exp.stop(stopped)
    try:
        exp.start(model("refused", str(broken)))
    except SmartSimError as error:
        print("RESULT", type(error).__name__, str(error).splitlines()[0])
    for each in (seen, beside, members, *exit_codes, *killed, stopped):
        print("RESULT", each.name, *(status.value for status in exp.get_status(each)))
    for line in exp.summary().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        print("RESULT", *cells[2:4], *cells[-3:])  # less the process id
    fine = all(status.value == "Completed" for status in exp.get_status(*exit_codes))
sys.exit(0 if fine else 7)
"""

# What a job can see of how it was started.
PROBE = """
import json, os, resource, signal, sys

signals = {number: str(signal.getsignal(number)) for number in range(1, 32)}
descriptors = {int(name): os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
               if os.path.lexists(f"/proc/self/fd/{name}")}
print(json.dumps({
    "argv": sys.argv,
    "environment": dict(os.environ),
    "directory": os.getcwd(),
    "umask": os.umask(0),
    "leads its session": os.getsid(0) == os.getpid(),
    "nice": os.nice(0),
    "affinity": sorted(os.sched_getaffinity(0)),
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
    "signals": signals,
    "blocked": [number.value for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "descriptors": sorted(descriptors),
    "input": os.path.basename(descriptors[0]),
}))
"""


def outcome(directory: Path, position: str, port: int) -> dict[str, Any]:
    """Run the driver, and return all that somebody might see of it, whichever directory that was."""
    directory.mkdir()
    (directory / "driver.py").write_text(DRIVER)
    (directory / "probe.py").write_text(PROBE)
    (directory / "port").write_text(str(port))
    done = run_script(
        directory / "driver.py", str(directory), str(directory / "probe.py"), position, directory=directory
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert processes_in(directory) == []

    def anywhere(text: str) -> str:
        text = text.replace(str(directory), "@")
        return re.sub(r"/study/[0-9a-f]{12}/", "/study/RUN/", re.sub(r"\bstep refused-\w+", "step refused", text))

    outputs = {path.stem: path.read_text() for path in directory.glob(".smartsim/telemetry/study/*/*/**/*.out")}
    return {
        "exit code": done.returncode,
        "results": sorted(anywhere(line) for line in done.stdout.splitlines() if line.startswith("RESULT")),
        "seen": {name: json.loads(anywhere(outputs[name])) for name in ("seen", "beside", "e_0", "e_1")},
        "files": sorted(
            str(path.relative_to(directory))
            for path in directory.rglob("*")
            if ".smartsim" not in path.relative_to(directory).parts
            and path.name != "sampled.json"  # tells the supervisor who samples, beside its other files
        ),
    }


def test_telemetry_changes_nothing_that_can_be_seen(tmp_path: Path) -> None:
    port = free_port()
    on = outcome(tmp_path / "on", "enable", port)
    off = outcome(tmp_path / "off", "disable", port)
    assert on == off

    assert on["exit code"] == 7
    assert on["seen"]["seen"]["argv"] == ["@/probe.py", "a|b", "", "ü > out", "$HOME", "-x=1"]
    assert on["seen"]["seen"]["environment"]["SSDB"] == f"127.0.0.1:{port}"
    assert on["seen"]["e_1"]["environment"]["SSKEYOUT"] == "e_1"
    for line in ("code0 Completed", "code255 Failed", "signal11 Failed", "stopped Cancelled", "refused"):
        assert any(line in result for result in on["results"]), line
    assert (tmp_path / "on/.smartsim/events.jsonl").exists()
    assert not (tmp_path / "off/.smartsim/events.jsonl").exists()
