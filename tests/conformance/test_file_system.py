"""What every file system does."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.ports.file_system import Entry, FileSystem, Kind, Part, Placing

At = Callable[[str], str]


@pytest.fixture(params=["posix", "memory"])
def files(request: pytest.FixtureRequest) -> FileSystem:
    return PosixFileSystem() if request.param == "posix" else InMemoryFileSystem()


@pytest.fixture
def at(files: FileSystem, tmp_path: Path) -> At:
    files.make_directory(str(tmp_path))
    return lambda name: f"{tmp_path}/{name}"


def test_nothing_stands_where_nothing_was_put(files: FileSystem, at: At) -> None:
    assert files.inspect(at("nothing")) is None
    assert files.inspect(at("nothing/below")) is None
    with pytest.raises(FileNotFoundError):
        files.read(at("nothing"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(content=st.binary(max_size=100), mode=st.sampled_from([0o600, 0o644, 0o755, 0o777]))
def test_what_is_written_is_read_with_its_mode(files: FileSystem, at: At, content: bytes, mode: int) -> None:
    files.write(at("file"), content, mode)
    assert files.read(at("file")) == content
    assert files.read(at("file"), last=3) == content[-3:]
    assert files.inspect(at("file")) == Entry(Kind.FILE, mode, is_link=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(content=st.binary(max_size=20), offset=st.integers(0, 30), limit=st.integers(0, 30))
def test_a_part_of_a_file_is_read_and_nothing_behind_its_end(
    files: FileSystem, at: At, content: bytes, offset: int, limit: int
) -> None:
    files.write(at("file"), content)
    assert files.read_range(at("file"), offset, limit) == Part(content[offset : offset + limit], len(content))


def test_a_part_of_what_is_no_file_cannot_be_read(files: FileSystem, at: At) -> None:
    files.make_directory(at("directory"))
    with pytest.raises(IsADirectoryError):
        files.read_range(at("directory"), 0, 1)
    with pytest.raises(FileNotFoundError):
        files.read_range(at("nothing"), 0, 1)


def test_nobody_is_waited_for_who_may_write_to_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="seek"):
        PosixFileSystem().read_range(str(tmp_path / "pipe"), 0, 1)


def test_a_directory_has_the_names_of_what_stands_in_it(files: FileSystem, at: At) -> None:
    files.make_directory(at("tree/b"))
    files.write(at("tree/b/deep"), b"")
    files.place("nowhere", at("tree/a"), Placing.SYMLINK)
    assert list(files.names(at("tree"))) == ["a", "b"]
    with pytest.raises(FileNotFoundError):
        files.names(at("nothing"))
    with pytest.raises(NotADirectoryError):
        files.names(at("tree/b/deep"))


def test_a_failed_write_leaves_what_was_there(files: FileSystem, at: At) -> None:
    files.make_directory(at("directory"))
    with pytest.raises(OSError, match="irectory"):
        files.write(at("directory"), b"x")
    with pytest.raises(FileNotFoundError):
        files.write(at("missing/file"), b"x")
    assert list(files.walk(at("."))) == ["directory"]


def test_directories_are_made_with_their_parents_and_may_exist(files: FileSystem, at: At) -> None:
    files.make_directory(at("a/b/c"))
    files.make_directory(at("a/b/c"))
    entry = files.inspect(at("a/b/c"))
    assert entry is not None
    assert entry.kind is Kind.DIRECTORY
    files.write(at("file"), b"")
    with pytest.raises(FileExistsError):
        files.make_directory(at("file"))


def test_a_walk_tells_everything_below_parents_first(files: FileSystem, at: At) -> None:
    files.make_directory(at("tree/b"))
    files.write(at("tree/b/two"), b"")
    files.write(at("tree/a"), b"")
    files.place(at("tree/a"), at("tree/link"), Placing.SYMLINK)
    assert list(files.walk(at("tree"))) == ["a", "b", "b/two", "link"]


def test_a_copied_file_keeps_its_mode_and_replaces_what_is_there(files: FileSystem, at: At) -> None:
    files.write(at("run.sh"), b"new", 0o755)
    files.write(at("copy.sh"), b"old", 0o600)
    files.place(at("run.sh"), at("copy.sh"), Placing.COPY)
    assert files.read(at("copy.sh")) == b"new"
    assert files.inspect(at("copy.sh")) == Entry(Kind.FILE, 0o755, is_link=False)


def test_a_copied_directory_gives_its_contents(files: FileSystem, at: At) -> None:
    files.make_directory(at("source/deep"))
    files.write(at("source/deep/file"), b"content", 0o640)
    files.place("file", at("source/deep/link"), Placing.SYMLINK)
    files.make_directory(at("target"))
    files.write(at("target/own"), b"")
    files.place(at("source"), at("target"), Placing.COPY)
    assert list(files.walk(at("target"))) == ["deep", "deep/file", "deep/link", "own"]
    assert files.read(at("target/deep/link")) == b"content"
    link = files.inspect(at("target/deep/link"))
    assert link is not None
    assert link.is_link


def test_what_is_not_there_cannot_be_copied(files: FileSystem, at: At) -> None:
    with pytest.raises(FileNotFoundError):
        files.place(at("missing"), at("copy"), Placing.COPY)


def test_a_link_leads_to_its_target_and_replaces_an_older_link(files: FileSystem, at: At) -> None:
    files.write(at("one"), b"1")
    files.write(at("two"), b"2")
    files.place(at("one"), at("link"), Placing.SYMLINK)
    files.place(at("two"), at("link"), Placing.SYMLINK)
    assert files.read(at("link")) == b"2"
    entry = files.inspect(at("link"))
    assert entry is not None
    assert (entry.kind, entry.is_link) == (Kind.FILE, True)


def test_what_is_appended_comes_last(files: FileSystem, at: At) -> None:
    files.append(at("file"), b"one\n")
    files.append(at("file"), b"two\n")
    assert files.read(at("file")) == b"one\ntwo\n"
    with pytest.raises(FileNotFoundError):
        files.append(at("nowhere/file"), b"")


def test_one_holds_a_lock_at_a_time(files: FileSystem, at: At) -> None:
    files.write(at("count"), b"0")

    def work() -> None:
        for _ in range(20):
            with files.locked(at("lock"), 30.0):
                count = int(files.read(at("count")))
                time.sleep(0)  # for another thread to spoil it, if it can
                files.write(at("count"), b"%d" % (count + 1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.read(at("count")) == b"80"


def test_a_lock_that_others_hold_is_waited_for_no_longer_than_said(files: FileSystem, at: At) -> None:
    with files.locked(at("lock"), 0.0):
        with pytest.raises(TimeoutError, match="held it"), files.locked(at("lock"), 0.02):
            pass
        with files.locked(at("other"), 0.0):
            pass
    with files.locked(at("lock"), 0.0):
        pass


def test_a_lock_ends_with_what_failed_under_it(files: FileSystem, at: At) -> None:
    with pytest.raises(ValueError, match="inside"), files.locked(at("lock"), 0.0):
        raise ValueError("inside")
    with files.locked(at("lock"), 0.0):
        pass


def test_a_link_never_replaces_a_file(files: FileSystem, at: At) -> None:
    files.write(at("file"), b"precious")
    with pytest.raises(FileExistsError):
        files.place(at("elsewhere"), at("file"), Placing.SYMLINK)
    assert files.read(at("file")) == b"precious"


def test_a_link_may_lead_nowhere(files: FileSystem, at: At) -> None:
    files.place(at("nowhere"), at("link"), Placing.SYMLINK)
    assert files.inspect(at("link")) == Entry(None, 0o777, is_link=True)
    with pytest.raises(FileNotFoundError):
        files.read(at("link"))


def test_removing_takes_the_link_and_not_its_target(files: FileSystem, at: At) -> None:
    files.make_directory(at("tree/deep"))
    files.write(at("tree/deep/file"), b"")
    files.place(at("tree"), at("link"), Placing.SYMLINK)
    files.remove(at("link"))
    assert files.inspect(at("tree/deep/file")) is not None
    files.remove(at("tree"))
    files.remove(at("tree"))
    files.remove(at("tree/deep"))
    assert files.inspect(at("tree")) is None
    assert files.inspect(at("tree/deep/file")) is None
