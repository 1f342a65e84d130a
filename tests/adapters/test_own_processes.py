"""The processes of this user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from smartsim.adapters.wlm.own import open_files, own_processes
from smartsim.adapters.wlm.proc import identity


def test_a_process_is_told_as_it_is(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with (
        output.open("w", encoding="utf-8") as stream,
        subprocess.Popen(["/bin/sleep", "600"], cwd=tmp_path, stdout=stream, start_new_session=True) as child,
    ):
        try:
            (found,) = [process for process in own_processes() if process.pid == child.pid]
            assert (found.parent, found.session, found.argv) == (os.getpid(), child.pid, ("/bin/sleep", "600"))
            assert (found.identity, found.directory) == (identity(child.pid), str(tmp_path))
            assert found.outputs[0] == str(output) in open_files(child.pid)
            assert found.age >= 0
            assert found.memory > 0
            assert not found.maps("smartsim_ai.so")
        finally:
            child.kill()
    assert child.pid not in {process.pid for process in own_processes()}
    assert open_files(child.pid) == set()


def test_only_what_is_this_user_s_and_of_another_session_is_told() -> None:
    found = own_processes()
    assert os.getsid(0) not in {process.session for process in found}
    assert os.getpid() not in {process.pid for process in found}
    for process in found:
        if identity(process.pid) == process.identity:
            assert os.stat(f"/proc/{process.pid}").st_uid == os.getuid()
