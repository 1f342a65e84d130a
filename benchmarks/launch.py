"""How fast an ensemble is launched, against a bare loop that starts the same processes in the same directories.

Each round runs in a fresh interpreter: create, generate (one configured file with two tags), start(block=True), for an
ensemble of `/bin/true`. The floor makes the same directories, writes the same templated files, opens the same output
files and starts the same program with `subprocess.Popen`, then waits.

Run: python benchmarks/launch.py [members ...]
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

ROUNDS = 7
TEMPLATE = "alpha = ;alpha;\nbeta = ;beta;\n" + "".join(f"line {number} of the input\n" for number in range(20))


def smartsim_round(members: int, directory: Path) -> dict[str, float]:
    """Launch an ensemble through an experiment."""
    from smartsim import Experiment
    from smartsim.log import get_logger

    get_logger("bench", log_level="warning").setLevel("WARNING")
    source = directory / "input.txt"
    source.write_text(TEMPLATE)
    before = _usage()
    begin = time.perf_counter()
    exp = Experiment("bench", str(directory))
    settings = exp.create_run_settings("/bin/true")
    ensemble = exp.create_ensemble(
        "e",
        params={"alpha": list(range(members)), "beta": list(range(members))},
        run_settings=settings,
        perm_strategy="step",
    )
    ensemble.attach_generator_files(to_configure=[str(source)])
    exp.generate(ensemble)
    generated = _usage()
    exp.start(ensemble, block=True)
    seconds = time.perf_counter() - begin
    after = _usage()
    assert all(status.value == "Completed" for status in exp.get_status(ensemble))
    return {
        "seconds": seconds,
        "cpu": after[0] - before[0],
        "start_cpu": after[0] - generated[0],
        "process_cpu": after[0],
        "memory": after[1] - before[1],
    }


def floor_round(members: int, directory: Path) -> dict[str, float]:
    """Launch the same processes by hand."""
    source = directory / "input.txt"
    source.write_text(TEMPLATE)
    before = _usage()
    begin = time.perf_counter()
    outputs = directory / "outputs"
    children = []
    for index in range(members):
        place, output = directory / "e" / f"e_{index}", outputs / f"e_{index}"
        place.mkdir(parents=True)
        output.mkdir(parents=True)
        text = source.read_text().replace(";alpha;", str(index)).replace(";beta;", str(index))
        (place / "input.txt").write_text(text)
        (place / "smartsim_params.txt").write_text(f"alpha {index}\nbeta {index}\n")
        for ending in ("out", "err"):
            (place / f"e_{index}.{ending}").symlink_to(output / f"e_{index}.{ending}")
        with (output / f"e_{index}.out").open("wb") as out, (output / f"e_{index}.err").open("wb") as err:
            children.append(
                subprocess.Popen(
                    ["/bin/true"], cwd=place, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=dict(os.environ)
                )
            )
    for child in children:
        child.wait()
    seconds = time.perf_counter() - begin
    after = _usage()
    return {"seconds": seconds, "cpu": after[0] - before[0], "memory": after[1] - before[1]}


def latency_round(_: int, directory: Path) -> dict[str, float]:
    """Time from the exit of a single job to the return of start(block=True)."""
    from smartsim import Experiment
    from smartsim.log import get_logger

    get_logger("bench", log_level="warning").setLevel("WARNING")
    exp = Experiment("bench", str(directory))
    stamp = directory / "stamp"
    code = f"import time; time.sleep(0.3); open({str(stamp)!r}, 'w').write(repr(time.time()))"
    model = exp.create_model("m", exp.create_run_settings(sys.executable, ["-S", "-c", code]))
    exp.start(model, block=True)
    returned = time.time()
    return {"seconds": returned - float(stamp.read_text()), "cpu": 0.0, "memory": 0.0}


def _usage() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _run(kind: str, members: int, parent: str | None = None) -> dict[str, float]:
    """Return the figures of a round; its files stay if they have a parent, whose owner removes them."""
    with tempfile.TemporaryDirectory() if parent is None else nullcontext(tempfile.mkdtemp(dir=parent)) as directory:
        command = [sys.executable, __file__, "--round", kind, str(members), directory]
        # As after an installation: with compiled bytecode, which the first round leaves behind.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment)
        result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return result


def main() -> None:
    """Compare."""
    if sys.argv[1:2] == ["--round"]:
        kind, members, directory = sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
        round_of = {"smartsim": smartsim_round, "floor": floor_round, "latency": latency_round}[kind]
        print(json.dumps(round_of(members, directory)))
        return
    sizes = [int(size) for size in sys.argv[1:]] or [10, 100, 500]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, medians of {ROUNDS} rounds"
    )
    print(f"{'members':>8} {'smartsim':>10} {'tasks/s':>9} {'floor':>10} {'ratio':>6} {'driver cpu':>11} {'memory':>9}")
    for members in sizes:
        rounds = [(_run("smartsim", members), _run("floor", members)) for _ in range(ROUNDS)]
        ours = statistics.median(own["seconds"] for own, _ in rounds)
        floor = statistics.median(bare["seconds"] for _, bare in rounds)
        ratio = statistics.median(own["seconds"] / bare["seconds"] for own, bare in rounds)
        cpu = statistics.median(own["cpu"] for own, _ in rounds)
        memory = statistics.median(own["memory"] for own, _ in rounds)
        figures = f"{ours:>8.3f} s {members / ours:>9.0f} {floor:>8.3f} s {ratio:>6.2f} {cpu:>9.3f} s {memory:>6.1f} MB"
        print(f"{members:>8} {figures}")
    latency = statistics.median(_run("latency", 1)["seconds"] for _ in range(ROUNDS))
    print(f"from the exit of a job to the return of start(block=True): {latency * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
