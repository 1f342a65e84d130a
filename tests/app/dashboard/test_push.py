"""Server push: each change is told once, silence is broken by heart-beats, and the end is an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dashboard_clients import NOW
from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.dashboard.live import LiveRecord
from smartsim.app.dashboard.push import Push
from smartsim.app.reading import ExperimentReader
from smartsim.domain import record

TIMEOUT = 30.0


@pytest.fixture
def log(tmp_path: Path) -> JsonlEventLog:
    log = JsonlEventLog(str(tmp_path / ".smartsim/events.jsonl"))
    log.append([record.write(record.Opened(NOW, "study", "local", "here", 1), NOW)])
    return log


@pytest.fixture
def live(log: JsonlEventLog, tmp_path: Path) -> LiveRecord:  # noqa: ARG001 - what it reads
    return LiveRecord(ExperimentReader(str(tmp_path)), SystemClock())


async def following(stream: AsyncIterator[bytes]) -> str:
    async with asyncio.timeout(TIMEOUT):
        return (await anext(stream)).decode()


def change(message: str) -> dict[str, object]:
    event, data, *rest = message.split("\n")
    assert (event, rest) == ("event: change", ["", ""])
    content: dict[str, object] = json.loads(data.removeprefix("data: "))
    return content


def submitted(step: str) -> dict[str, object]:
    return record.write(record.Submitted(NOW, "m", "Model", step), NOW)


def test_a_listener_hears_how_things_stand_and_each_change(log: JsonlEventLog, live: LiveRecord) -> None:
    async def listen() -> None:
        stream = Push(live).changes()
        assert (await following(stream)).startswith("retry: ")
        first = change(await following(stream))
        assert first["counts"] == {}
        log.append([submitted("m-1")])
        second = change(await following(stream))
        assert second["counts"] == {"New": 1}
        assert second["revision"] != first["revision"]
        log.append([record.write(record.Ended(NOW, "m", "m-1", "Failed", 1), NOW)])
        assert change(await following(stream))["counts"] == {"Failed": 1}

    asyncio.run(listen())


def test_listeners_do_not_take_changes_from_each_other(log: JsonlEventLog, live: LiveRecord) -> None:
    async def listen() -> None:
        push = Push(live)
        streams = [push.changes() for _ in range(3)]
        for stream in streams:
            await following(stream)
            await following(stream)
        log.append([submitted("m-1")])
        for told in await asyncio.gather(*map(following, streams)):
            assert change(told)["counts"] == {"New": 1}

    asyncio.run(listen())


def test_silence_is_broken_by_heart_beats(live: LiveRecord) -> None:
    async def listen() -> None:
        stream = Push(live, heart_beat=0.0).changes()
        await following(stream)
        await following(stream)
        for _ in range(2):
            assert (await following(stream)).startswith(":")

    asyncio.run(listen())


def test_streams_end_when_the_dashboard_does(live: LiveRecord) -> None:
    async def listen() -> None:
        push = Push(live)
        stream = push.changes()
        await following(stream)
        await following(stream)
        waiting = asyncio.ensure_future(following(stream))
        push.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
        late = push.changes()
        await following(late)
        with pytest.raises(StopAsyncIteration):
            await following(late)

    asyncio.run(listen())


def test_a_record_that_cannot_be_read_for_a_while_ends_no_stream(
    log: JsonlEventLog, live: LiveRecord, tmp_path: Path
) -> None:
    async def listen() -> None:
        stream = Push(live, heart_beat=0.0).changes()
        await following(stream)
        change(await following(stream))
        path = tmp_path / ".smartsim/events.jsonl"
        path.rename(tmp_path / "aside")
        await following(stream)
        (tmp_path / "aside").rename(path)
        log.append([submitted("m-1")])
        async with asyncio.timeout(TIMEOUT):
            while not (told := await following(stream)).startswith("event: ") or change(told)["counts"] == {}:
                continue
        assert change(told)["counts"] == {"New": 1}

    asyncio.run(listen())
