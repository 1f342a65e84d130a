from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts import EXAMPLES, processes_in, run_script
from servers import running_server
from smartsim.client import Client

HEAT = EXAMPLES / "heat_ensemble"
SMALL = ("--cells", "64", "--frames", "3", "--diffusivities", "0.01", "0.03", "--sources", "0.25,0.25", "0.6,0.3")
PARAMS = {"diffusivity": "0.02", "source": "0.4,0.3", "width": "0.05", "cells": "64", "frames": "1", "end_time": "0.5"}


def test_the_main_job_checks_every_member_and_shows_the_result(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    ended = run_script(HEAT / "driver.py", "--directory", str(demo), *SMALL, directory=tmp_path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("SmartSimStatus.STATUS_COMPLETED") >= 5  # the summary: four members and the consumer
    assert "frames checked" in ended.stdout
    assert "16/16" in ended.stdout
    assert str(demo / "consumer" / "heat.png") in ended.stdout

    with (demo / "consumer" / "heat.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["member"], row["diffusivity"], row["source"]) for row in rows] == [
        ("heat_0", "0.01", "0.25,0.25"),
        ("heat_1", "0.01", "0.6,0.3"),
        ("heat_2", "0.03", "0.25,0.25"),
        ("heat_3", "0.03", "0.6,0.3"),
    ]
    assert {row["frames"] for row in rows} == {"4"}
    assert {row["verdict"] for row in rows} == {"good"}
    # An explicit scheme is exact in no cell: an error of zero would mean that nothing was compared.
    assert all(0 < float(row["field error"].rstrip("%")) < 1 for row in rows)

    # One parameter went through the input file, the other through the arguments.
    assert "diffusivity = 0.03\n" in (demo / "heat" / "heat_3" / "heat.ini").read_text()
    assert "source" not in (demo / "heat" / "heat_3" / "heat.ini").read_text()
    assert processes_in(tmp_path) == []


def test_the_picture_shows_the_heat_where_its_source_was(tmp_path: Path) -> None:
    arguments = ("--cells", "64", "--frames", "1", "--diffusivities", "0.01", "--sources", "0.25,0.25")
    ended = run_script(HEAT / "driver.py", *arguments, directory=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    with Image.open(tmp_path / "demo" / "consumer" / "heat.png") as image:
        assert image.format == "PNG"
        brightness = np.asarray(image.convert("L"), dtype=float)
    # The panel's cold corner at the top left is the first that is black; x = y = 1/4 is hottest.
    rows, columns = np.nonzero(brightness < 5)
    side = 260
    panel = brightness[rows.min() :, columns.min() :][:side, :side]
    assert panel[3 * side // 4, side // 4] > 200
    assert panel[: side // 4, 3 * side // 4 :].max() < 20


def test_a_member_that_fails_ends_the_job_with_its_reason(tmp_path: Path) -> None:
    arguments = ("--cells", "64", "--frames", "2", "--diffusivities", "0.01", "lukewarm", "--sources", "0.5,0.5")
    ended = run_script(HEAT / "driver.py", *arguments, directory=tmp_path)
    assert ended.returncode == 1
    assert "could not convert string to float: 'lukewarm'" in ended.stdout
    assert "Something failed" in ended.stderr
    assert "heat_1" in ended.stdout
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("fault", ["leak", "wrong diffusivity", "not a number"])
def test_the_consumer_finds_the_member_that_is_wrong(tmp_path: Path, fault: str) -> None:
    with running_server(tmp_path) as server:
        database = {"SSDB": str(server.tcp), "SR_DB_TYPE": "Standalone"}
        for member in ("honest", "faulty"):
            text = (HEAT / "heat.ini").read_text()
            for name, value in PARAMS.items():
                text = text.replace(f";{name};", value)
            (tmp_path / "heat.ini").write_text(text)
            solver = run_script(
                HEAT / "solver.py",
                *("heat.ini", f"--source={PARAMS['source']}"),
                directory=tmp_path,
                environment={**database, "SSKEYOUT": member},
            )
            assert solver.returncode == 0, solver.stderr
        with Client(cluster=False, address=str(server.tcp)) as client:
            field = client.get_tensor("faulty.field_1")
            client.put_tensor("faulty.field_1", spoil(field, client.get_tensor("faulty.field_0"), fault))
        consumer = run_script(
            HEAT / "consumer.py",
            json.dumps({"honest": PARAMS, "faulty": PARAMS}),
            directory=tmp_path,
            environment={**database, "SSKEYIN": "honest,faulty", "SSKEYOUT": "consumer"},
        )
    assert consumer.returncode == 1
    assert consumer.stderr == "Not as they must be: faulty\n"
    with (tmp_path / "heat.csv").open(newline="", encoding="utf-8") as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == ["good", "WRONG"]
    with Image.open(tmp_path / "heat.png") as image:
        image.verify()


def spoil(field: np.ndarray, first: np.ndarray, fault: str) -> np.ndarray:
    """Return what a solver with a fault might have computed instead of a field."""
    if fault == "leak":
        return field * (1 - 1e-8)
    if fault == "wrong diffusivity":  # the heat is conserved, but less far from where it was
        return 0.97 * field + 0.03 * first
    field[0, 0] = np.nan
    return field
