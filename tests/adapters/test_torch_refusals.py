"""TorchScript models that would do more than compute."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from smartsim.adapters.ml.torch_runtime import TorchRuntime
from smartsim.adapters.ml.torch_serializer import TorchSerializer
from smartsim.ports.model_runtime import ModelBlob, ModelRuntimeError

# torch says of all of TorchScript that it is deprecated; it is what the database's clients send.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")


class Reader(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # see above
    """Reads a file, in a method that nothing calls."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def read(self) -> torch.Tensor:
        return torch.from_file("secret", shared=False, size=8)


class Writer(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # see above
    """Writes a file when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.scale, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.scale = state[0]
        self.training = state[1]
        torch.save(state[0], "stolen")


def saved(module: Any) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (Reader(), "Reader.read calls aten::from_file, which reads and writes files"),
        (Writer(), "Writer.__setstate__ calls aten::save, which writes files"),
    ],
)
def test_a_model_may_only_compute(module: Any, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    within = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sequential(module))
    for model in (module, within):
        with pytest.raises(ModelRuntimeError, match=f"^ERR the TORCH backend cannot load .* the function .*{named}"):
            TorchRuntime().load(ModelBlob(saved(model)), "CPU")
        with pytest.raises(ValueError, match=named):
            TorchSerializer().serialize(model)
    assert list(tmp_path.iterdir()) == []


def test_code_that_runs_at_loading_is_checked_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Top(Writer):
        """One whose name has no module."""

    Top.__module__ = "__main__"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelRuntimeError, match="the function __torch__.Top.__setstate__ calls aten::save"):
        TorchRuntime().load(ModelBlob(saved(Top())), "CPU")
    assert list(tmp_path.iterdir()) == []


def with_record(blob: bytes, name: str, content: bytes) -> bytes:
    """An archive in which one record is another."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(blob)) as old, zipfile.ZipFile(file, "w") as new:
        root = old.namelist()[0].partition("/")[0]
        for each in old.namelist():
            if each != f"{root}/{name}":
                new.writestr(each, old.read(each))
        new.writestr(f"{root}/{name}", content)
    return file.getvalue()


def test_code_that_runs_at_loading_is_not_hidden_in_constants_or_old_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blob = saved(Writer())
    for name, content, text in (
        ("constants.pkl", b"\x80\x02(c__torch__\nWriter\nt.", "may not be objects"),
        ("model.json", b"{}", "before 1.4"),
    ):
        with pytest.raises(ModelRuntimeError, match=f"^ERR the TORCH backend cannot load .*{text}"):
            TorchRuntime().load(ModelBlob(with_record(blob, name, content)), "CPU")
    assert list(tmp_path.iterdir()) == []
