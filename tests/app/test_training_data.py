"""Samples for training, through lists of datasets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from servers import running_server
from smartsim.client import Client
from smartsim.error import SSInternalError
from smartsim.ml import DataDownloader, DataInfo, TrainingDataUploader, form_name


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with running_server(tmp_path) as server:
        yield str(server.tcp)


def upload(address: str, batches: int, size: int = 4, **options: object) -> TrainingDataUploader:
    uploader = TrainingDataUploader("flow", cluster=False, address=address, **options)  # type: ignore[arg-type]
    uploader.publish_info()
    for batch in range(batches):
        samples = np.arange(batch * size, (batch + 1) * size, dtype=np.float32)
        uploader.put_batch(samples.reshape(size, 1), samples.reshape(size, 1) * 10)
    return uploader


def seen(downloader: DataDownloader) -> list[float]:
    return sorted(float(sample) for samples, _ in downloader for sample in samples.ravel())


def test_names_are_joined_without_what_is_missing() -> None:
    assert form_name("training_samples", None, 3) == "training_samples_3"


def test_samples_come_with_their_targets_and_each_once(address: str) -> None:
    upload(address, 3)
    for batches in (DataDownloader("flow", 2, cluster=False, address=address) for _ in range(2)):
        assert len(batches) == 6
        assert seen(batches) == list(map(float, range(12)))
        for samples, targets in batches:
            assert np.array_equal(samples * 10, targets)


def test_the_first_dataset_is_not_taken_twice(address: str) -> None:
    uploader = upload(address, 1)
    downloader = DataDownloader("flow", 1, cluster=False, address=address)
    assert downloader.num_samples == 4
    uploader.put_batch(np.full((4, 1), 7.0, np.float32), np.full((4, 1), 70.0, np.float32))
    assert len(list(downloader)) == 8


def test_without_dynamic_later_samples_are_not_taken(address: str) -> None:
    uploader = upload(address, 1)
    downloader = DataDownloader("flow", 1, dynamic=False, shuffle=False, cluster=False, address=address)
    uploader.put_batch(np.zeros((4, 1), np.float32), np.zeros((4, 1), np.float32))
    assert [float(samples[0, 0]) for samples, _ in downloader] == [0.0, 1.0, 2.0, 3.0]


def test_replicas_share_the_datasets(address: str) -> None:
    upload(address, 5)
    parts = [
        DataDownloader("flow", 1, cluster=False, address=address, replica_rank=rank, num_replicas=2) for rank in (0, 1)
    ]
    assert [part.num_samples for part in parts] == [12, 8]
    assert sorted(seen(parts[0]) + seen(parts[1])) == list(map(float, range(20)))


def test_two_uploaders_do_not_overwrite_each_other(address: str) -> None:
    for rank in (None, None, 3):
        upload(address, 2, rank=rank)
    assert DataDownloader("flow", cluster=False, address=address).num_samples == 24


def test_samples_are_waited_for(address: str) -> None:
    upload(address, 0)
    threading.Timer(0.2, upload, (address, 1)).start()
    assert DataDownloader("flow", 4, cluster=False, address=address, wait_interval=30.0).num_samples == 4


def test_waiting_has_an_end_that_can_be_set(address: str) -> None:
    with pytest.raises(SSInternalError, match="flow has none"):
        DataDownloader(DataInfo("flow"), cluster=False, address=address, max_fetch_trials=2, wait_interval=0.01)


def test_fewer_samples_than_a_batch_are_an_error_and_no_endless_wait(address: str) -> None:
    upload(address, 1)
    with pytest.raises(ValueError, match="4 of 32"):
        next(iter(DataDownloader("flow", 32, cluster=False, address=address)))


def test_samples_can_be_without_targets_or_their_own(address: str) -> None:
    for target_name, needs, shape in ((None, False, (4, 1)), ("samples", False, 2)):
        info = DataInfo(f"list_{target_name}", "samples", target_name)
        uploader = TrainingDataUploader(info.list_name, "samples", target_name, cluster=False, address=address)
        uploader.publish_info()
        uploader.put_batch(np.ones((4, 1)), np.ones((4, 1)))
        downloader = DataDownloader(info.list_name, 4, cluster=False, address=address)
        assert downloader.need_targets is needs
        (batch,) = downloader
        assert (len(batch) if isinstance(batch, tuple) else batch.shape) == shape


def test_what_datasets_hold_is_published_and_downloaded(address: str) -> None:
    with Client(cluster=False, address=address) as client:
        DataInfo("flow", "u", "v", 5).publish(client)
        info = DataInfo("flow")
        info.download(client)
        assert repr(info) == repr(DataInfo("flow", "u", "v", 5))
        other = DataInfo("nothing")
        other.download(client)
        assert (other.sample_name, other.target_name, other.num_classes) == ("samples", "targets", None)


def test_arguments_that_cannot_be_are_refused() -> None:
    with pytest.raises(TypeError, match="must be either DataInfo or str"):
        DataDownloader(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Name can not be empty"):
        TrainingDataUploader("")
    with pytest.raises(ValueError, match="Sample name can not be empty"):
        TrainingDataUploader(sample_name="")
    with pytest.raises(ValueError, match="init_samples"):
        _ = DataDownloader(DataInfo("flow"), init_samples=False).client


def test_samples_of_other_entities_are_taken_under_their_names(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sim_0", "sim_1"):
        monkeypatch.setenv("SSKEYOUT", name)
        uploader = TrainingDataUploader("flow", cluster=False, address=address)
        uploader.client.use_list_ensemble_prefix(use_prefix=True)
        uploader.put_batch(np.zeros((4, 1)), np.zeros((4, 1)))
    monkeypatch.delenv("SSKEYOUT")
    monkeypatch.setenv("SSKEYIN", "sim_0,sim_1")
    assert DataDownloader(DataInfo("flow"), 2, cluster=False, address=address).num_samples == 8


def test_loops_of_torch_get_tensors_and_workers_share_the_datasets(address: str) -> None:
    import torch

    from smartsim.ml.torch import DataLoader, DynamicDataGenerator, StaticDataGenerator

    upload(address, 4)
    for kind in (StaticDataGenerator, DynamicDataGenerator):
        generator = kind(data_info_or_list_name="flow", batch_size=2, cluster=False, address=address)
        loader = DataLoader(generator, batch_size=None, num_workers=2)
        for _ in range(2):
            batches = list(loader)
            assert all(isinstance(samples, torch.Tensor) for samples, _ in batches)
            assert sorted(float(sample) for samples, _ in batches for sample in samples) == list(map(float, range(16)))
        del loader


def test_keras_learns_from_samples(address: str) -> None:
    import keras

    from smartsim.ml.tf import DynamicDataGenerator

    uploader = TrainingDataUploader("classes", num_classes=3, cluster=False, address=address)
    uploader.publish_info()
    uploader.put_batch(np.random.default_rng(0).random((12, 2)), np.arange(12) % 3)
    generator = DynamicDataGenerator(data_info_or_list_name="classes", batch_size=4, cluster=False, address=address)
    assert len(generator) == 3
    assert generator[0][1].shape == (4, 3)
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(loss="categorical_crossentropy")
    uploader.put_batch(np.random.default_rng(1).random((4, 2)), np.arange(4) % 3)
    history = model.fit(generator, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert generator.num_samples == 16
