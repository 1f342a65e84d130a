"""Which devices a machine has, and which of them a worker sees."""

from pathlib import Path

import pytest

from smartsim.app.devices import find_devices, parse_device, worker_environment


@pytest.mark.parametrize(
    ("text", "device"), [("CPU", "CPU"), ("cpu:0", "CPU"), ("gpu", "GPU:0"), ("Gpu:1", "GPU:1"), ("GPU:012", "GPU:12")]
)
def test_devices_may_be_written_in_several_ways(text: str, device: str) -> None:
    assert parse_device(text) == device


@pytest.mark.parametrize("text", ["", "TPU", "GPU:", "GPU1", "GPU:-1", "GPU:1 ", "CPU,GPU"])
def test_what_is_not_a_device_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text!r} is not a device: write CPU, GPU or GPU:<number>"):
        parse_device(text)


def test_every_gpu_of_either_maker_is_found(tmp_path: Path) -> None:
    nvidia, amd = tmp_path / "dev", tmp_path / "nodes"
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (nvidia / name).mkdir(parents=True)
    for node, gpu_id in (("0", "0"), ("1", "4711"), ("2", "")):
        (amd / node).mkdir(parents=True)
        (amd / node / "gpu_id").write_text(f"{gpu_id}\n")
    assert find_devices({}, str(nvidia), str(amd)) == ["CPU", "GPU:0", "GPU:1"]
    assert find_devices({}, "/nowhere", str(amd)) == ["CPU", "GPU:0"]
    assert find_devices({}, "/nowhere", "/nowhere") == ["CPU"]


@pytest.mark.parametrize(
    ("visible", "count"), [("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,-1,1", 1), ("0,1,2,3", 2)]
)
def test_a_scheduler_decides_which_gpus_are_used(tmp_path: Path, visible: str, count: int) -> None:
    for name in ("nvidia0", "nvidia1"):
        (tmp_path / name).mkdir()
    found = find_devices({"CUDA_VISIBLE_DEVICES": visible}, str(tmp_path), "/nowhere")
    assert found == ["CPU", "GPU:0", "GPU:1"][: 1 + count]


def test_a_worker_sees_its_device_alone() -> None:
    given = {"A": "b", "CUDA_VISIBLE_DEVICES": "GPU-aa, GPU-bb"}
    assert worker_environment("CPU", given).items() >= given.items()
    assert worker_environment("GPU:1", given)["CUDA_VISIBLE_DEVICES"] == "GPU-bb"
    assert worker_environment("GPU:2", given)["CUDA_VISIBLE_DEVICES"] == ""
    assert worker_environment("GPU:1", {})["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_worker_has_what_suits_its_frameworks_unless_told_otherwise() -> None:
    assert worker_environment("CPU", {})["OMP_WAIT_POLICY"] == "PASSIVE"
    assert worker_environment("CPU", {"OMP_WAIT_POLICY": "ACTIVE"})["OMP_WAIT_POLICY"] == "ACTIVE"
