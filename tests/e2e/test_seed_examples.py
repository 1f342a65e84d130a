"""The examples of the old system's documentation, run as scripts.

They are as they were written, but for slips (a set where a dict is meant, a missing comma, a logger called like a
function), for the interface "ib0", which is "lo" here, and for ports, which are free ones. What needs a batch system or
machine learning is not among them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from scripts import processes_in, run_script
from servers import free_port


def run_driver(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a driver script; the port 6379 or 6899 in it becomes a free one.

    It finds the programs `python` and `echo` and no other: no workload manager.
    """
    programs = directory / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    (programs / "echo").symlink_to("/bin/echo")
    script = directory / "driver.py"
    script.write_text(re.sub("6379|6899", str(free_port()), dedent(text)))
    ended = run_script(script, directory=directory, environment={"PATH": str(programs)})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert processes_in(directory) == []
    return ended


def outputs(directory: Path) -> dict[str, str]:
    """Return what each entity of an experiment wrote to its standard output, by its name."""
    links = (path for path in directory.rglob("*.out") if path.is_symlink())
    return {path.stem: path.read_text() for path in sorted(links)}


@pytest.mark.parametrize("launcher", ["local", "auto"])
def test_hello_world_beside_a_database(tmp_path: Path, launcher: str) -> None:
    ended = run_driver(
        tmp_path,
        f"""
        from smartsim import Experiment
        from smartsim.log import get_logger

        # Init Experiment and specify to launch locally
        exp = Experiment("name-of-experiment", launcher="{launcher}")
        # Init a SmartSim logger
        smartsim_logger = get_logger("tutorial-experiment")

        # create and start an instance of the Orchestrator database
        db = exp.create_database(db_nodes=1, port=6899, interface="lo")
        # create an output directory for the database log files
        exp.generate(db)

        settings = exp.create_run_settings("echo", exe_args="Hello World")
        model = exp.create_model("hello_world", settings)

        # start the database
        exp.start(db, model)
        # log the status of the db
        smartsim_logger.info(f"Database status: {{exp.get_status(db)}}")
        smartsim_logger.info(f"Model status: {{exp.get_status(model)}}")

        exp.stop(db)
        # log the summary of the experiment
        smartsim_logger.info(f"{{exp.summary()}}")
        """,
    )
    experiment = tmp_path / "name-of-experiment"
    assert outputs(experiment)["hello_world"] == "Hello World\n"
    assert (experiment / "orchestrator").is_dir()
    assert "Database status: [<SmartSimStatus.STATUS_RUNNING: 'Running'>]" in ended.stdout
    assert "Model status: [<SmartSimStatus.STATUS_COMPLETED: 'Completed'>]" in ended.stdout
    summary = ended.stdout[ended.stdout.index("| Name") :]
    assert re.search(r"hello_world +\| Model +.*SmartSimStatus\.STATUS_COMPLETED +\| 0 ", summary)
    assert re.search(r"orchestrator_0 +\| DBNode ", summary)


# What the documents call output_my_parameter.py, a file with tags.
OUTPUT_MY_PARAMETER = """
print("Hello, my name is ;name; and my parameter is ;parameter;")
"""


@pytest.mark.parametrize(
    ("perm_strategy", "expected"),
    [
        ("all_perm", [("Ellie", "2"), ("Ellie", "11"), ("John", "2"), ("John", "11")]),
        ("step", [("Ellie", "2"), ("John", "11")]),
    ],
)
def test_parameter_expansion(tmp_path: Path, perm_strategy: str, expected: list[tuple[str, str]]) -> None:
    (tmp_path / "output_my_parameter.py").write_text(OUTPUT_MY_PARAMETER)
    run_driver(
        tmp_path,
        f"""
        from smartsim import Experiment

        exp = Experiment("expansion", launcher="auto")
        rs = exp.create_run_settings(exe="python", exe_args="output_my_parameter.py")
        rs.set_nodes(1)

        params = {{
            "name": ["Ellie", "John"],
            "parameter": [2, 11]
        }}

        ensemble = exp.create_ensemble("ensemble", params=params, run_settings=rs, perm_strategy="{perm_strategy}")
        ensemble.attach_generator_files(to_configure=["output_my_parameter.py"])
        exp.generate(ensemble)
        exp.start(ensemble)
        """,
    )
    assert outputs(tmp_path / "expansion") == {
        f"ensemble_{i}": f"Hello, my name is {name} and my parameter is {parameter}\n"
        for i, (name, parameter) in enumerate(expected)
    }


def test_batch_settings_need_a_batch_system(tmp_path: Path) -> None:
    ended = run_driver(
        tmp_path,
        """
        from smartsim import Experiment
        from smartsim.error import SmartSimError

        exp = Experiment("batch", launcher="local")
        batch_args = {
            "distribution": "block",
            "exclusive": None
        }
        try:
            bs = exp.create_batch_settings(nodes=2,
                                   time="10:00:00",
                                   batch_args=batch_args)
        except SmartSimError as error:
            print(error)
        """,
    )
    assert "Local launcher does not support batch workloads" in ended.stdout


def test_replicas(tmp_path: Path) -> None:
    (tmp_path / "output_my_parameter.py").write_text(OUTPUT_MY_PARAMETER)
    run_driver(
        tmp_path,
        """
        from smartsim import Experiment

        exp = Experiment("replicas", launcher="auto")
        rs = exp.create_run_settings(exe="python", exe_args="output_my_parameter.py")
        rs.set_nodes(4)

        ensemble = exp.create_ensemble("ensemble-replica",
                               replicas=4,
                               run_settings=rs)
        ensemble.attach_generator_files(to_copy="output_my_parameter.py")
        exp.generate(ensemble)
        exp.start(ensemble)
        """,
    )
    text = "Hello, my name is ;name; and my parameter is ;parameter;\n"
    assert outputs(tmp_path / "replicas") == {f"ensemble-replica_{i}": text for i in range(4)}


def test_models_appended_by_hand(tmp_path: Path) -> None:
    """The document makes the ensemble empty, for a batch; here there is a first member."""
    for number in (0, 1, 2):
        (tmp_path / f"script_{number}").write_text(f"print('script {number}')\n")
    run_driver(
        tmp_path,
        f"""
        from smartsim import Experiment

        exp = Experiment("append", launcher="auto")
        exe = "python"
        settings_0 = exp.create_run_settings(exe=exe, exe_args="{tmp_path}/script_0")
        ensemble = exp.create_ensemble("ensemble-append", run_settings=settings_0, replicas=1)

        srun_settings_1 = exp.create_run_settings(exe=exe, exe_args="{tmp_path}/script_1")
        srun_settings_2 = exp.create_run_settings(exe=exe, exe_args="{tmp_path}/script_2")
        model_1 = exp.create_model(name="model_1", run_settings=srun_settings_1)
        model_2 = exp.create_model(name="model_2", run_settings=srun_settings_2)

        ensemble.add_model(model_1)
        ensemble.add_model(model_2)

        exp.generate(ensemble)
        exp.start(ensemble)
        """,
    )
    assert outputs(tmp_path / "append") == {
        "ensemble-append_0": "script 0\n",
        "model_1": "script 1\n",
        "model_2": "script 2\n",
    }


def test_an_empty_ensemble_for_a_batch_takes_models(tmp_path: Path) -> None:
    ended = run_driver(
        tmp_path,
        """
        from smartsim import Experiment
        from smartsim.settings.base import BatchSettings

        exp = Experiment("append", launcher="local")
        bs = BatchSettings("sbatch", batch_args={"nodes": "10", "time": "01:00:00"})
        ensemble = exp.create_ensemble("ensemble-append", batch_settings=bs)
        for name in ("model_1", "model_2"):
            ensemble.add_model(exp.create_model(name=name, run_settings=exp.create_run_settings("echo", name)))
        print(len(ensemble), [model.name for model in ensemble], bool(ensemble.batch))
        try:
            exp.start(ensemble)
        except TypeError as error:
            print(error)
        """,
    )
    assert "2 ['model_1', 'model_2'] True" in ended.stdout
    assert "Local Launcher only supports entities with RunSettings, not BatchSettings" in ended.stdout


def test_files_attached_to_an_ensemble(tmp_path: Path) -> None:
    (tmp_path / "configure_inputs.txt").write_text("THERMO = ;THERMO;\n")
    (tmp_path / "application.py").write_text("print(open('configure_inputs.txt').read(), end='')\n")
    run_driver(
        tmp_path,
        f"""
        from smartsim import Experiment
        from smartsim.log import get_logger

        logger = get_logger("Experiment Log")
        # Initialize the Experiment
        exp = Experiment("getting-started", launcher="auto")

        # Initialize a RunSettings object
        ensemble_settings = exp.create_run_settings(exe="python", exe_args="{tmp_path}/application.py")

        # Initialize a Model object
        model = exp.create_ensemble("ensemble", run_settings=ensemble_settings,
                                    params={{"THERMO": [10, 11, 12]}}, perm_strategy="all_perm")

        # Attach the file to the Model instance
        model.attach_generator_files(to_configure="{tmp_path}/configure_inputs.txt")

        exp.generate(model)
        exp.start(model)
        """,
    )
    experiment = tmp_path / "getting-started"
    assert outputs(experiment) == {f"ensemble_{i}": f"THERMO = {10 + i}\n" for i in range(3)}
    assert "THERMO" in (experiment / "smartsim_params.txt").read_text()


PRODUCER_SCRIPT = """
from smartredis import Client, log_data
from smartredis import *
import numpy as np

# Initialize a Client
client = Client(cluster=False)

# Create NumPy array
array = np.array([1, 2, 3, 4])
# Use SmartRedis client to place tensor in single sharded db
client.put_tensor("tensor", array)
"""

CONSUMER_SCRIPT = """
from smartredis import Client, log_data
from smartredis import *

# Initialize a Client
client = Client(cluster=False)

client.set_data_source("producer_0")
val1 = client.poll_tensor("tensor", 100, 100)

client.set_data_source("producer_1")
val2 = client.poll_tensor("tensor", 100, 100)

client.log_data(LLInfo, f"producer_0.tensor was found: {val1}")
client.log_data(LLInfo, f"producer_1.tensor was found: {val2}")
"""


def test_key_prefixing_parts_the_tensors_of_an_ensemble(tmp_path: Path) -> None:
    (tmp_path / "producer_script.py").write_text(PRODUCER_SCRIPT)
    (tmp_path / "consumer_script.py").write_text(CONSUMER_SCRIPT)
    ended = run_driver(
        tmp_path,
        f"""
        import numpy as np
        from smartredis import Client
        from smartsim import Experiment
        from smartsim.log import get_logger
        import sys

        exe_ex = sys.executable
        logger = get_logger("Experiment Log")
        # Initialize the Experiment
        exp = Experiment("getting-started", launcher="auto")

        # Initialize a single sharded database
        single_shard_db = exp.create_database(port=6379, db_nodes=1, interface="lo")
        exp.generate(single_shard_db, overwrite=True)
        exp.start(single_shard_db)
        logger.info(exp.get_status(single_shard_db))

        # Initialize a RunSettings object
        ensemble_settings = exp.create_run_settings(exe=exe_ex, exe_args="{tmp_path}/producer_script.py")
        producer_ensemble = exp.create_ensemble("producer", run_settings=ensemble_settings, replicas=2)
        producer_ensemble.enable_key_prefixing()

        # Initialize a RunSettings object
        model_settings = exp.create_run_settings(exe=exe_ex, exe_args="{tmp_path}/consumer_script.py")
        consumer_model = exp.create_model("consumer", model_settings)

        exp.start(producer_ensemble, block=True, summary=True)

        for model in producer_ensemble:
            consumer_model.register_incoming_entity(model)

        exp.start(consumer_model, block=True, summary=True)

        exp.stop(single_shard_db)
        logger.info(exp.summary())
        """,
    )
    consumer = outputs(tmp_path / "getting-started")["consumer"]
    assert re.fullmatch(
        r"Default@\d\d-\d\d-\d\d:producer_0\.tensor was found: True\n"
        r"Default@\d\d-\d\d-\d\d:producer_1\.tensor was found: True\n",
        consumer,
    )
    assert "[<SmartSimStatus.STATUS_RUNNING: 'Running'>]" in ended.stdout
    assert ended.stdout.count("=== Launch Summary ===") == 2
    for entity in ("producer_0", "producer_1", "consumer"):
        assert re.search(rf"{entity} +\| Model +.*STATUS_COMPLETED", ended.stdout)
