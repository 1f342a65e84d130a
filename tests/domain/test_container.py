from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.settings.container import Container, Singularity

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def test_a_plain_image_sees_its_working_directory() -> None:
    assert Singularity("image.sif").words("/exp/m", "singularity") == [
        "singularity", "exec", "--pwd", "/exp/m", "--bind", "/exp/m", "image.sif",
    ]  # fmt: skip


@given(st.lists(words), words.filter(bool))
def test_options_and_image_are_words_of_their_own(args: list[str], image: str) -> None:
    assert Singularity(image, args=args).words("/m", "/usr/bin/singularity") == [
        "/usr/bin/singularity", "exec", "--pwd", "/m", *args, "--bind", "/m", image,
    ]  # fmt: skip


def test_options_in_one_string_are_split_as_a_shell_would() -> None:
    container = Singularity("image.sif", args="--nv --env 'A=two words'")
    assert container.words("/m", "singularity")[4:7] == ["--nv", "--env", "A=two words"]


def test_options_that_end_within_quotes_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="give a list"):
        Singularity("image.sif", args="--env 'A")


@pytest.mark.parametrize(
    ("mount", "bound"),
    [
        ("/data", "/m,/data"),
        ("/data:/input,/scratch", "/m,/data:/input,/scratch"),
        (["/data:/input", "/scratch"], "/m,/data:/input,/scratch"),
        ({"/data": "/input", "/scratch": ""}, "/m,/data:/input,/scratch"),
        ("/m", "/m"),
        ("/m:/m:rw", "/m:/m:rw"),
        ("/elsewhere:/m", "/elsewhere:/m"),
        # Its directory is there on the host, but would not be inside.
        ("/m:/elsewhere", "/m,/m:/elsewhere"),
        # Only a part of the path.
        ("/m/sub", "/m,/m/sub"),
    ],
)
def test_the_working_directory_is_mounted_unless_it_is_inside_already(mount: Any, bound: str) -> None:
    words = Singularity("image.sif", mount=mount).words("/m", "singularity")
    assert words[words.index("--bind") + 1] == bound


def test_a_working_directory_of_its_own_is_used_instead() -> None:
    container = Singularity("image.sif", working_directory="/inside")
    assert container.words("/m", "singularity")[2:6] == ["--pwd", "/inside", "--bind", "/inside"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"image": 3}, "image must be a str"),
        ({"image": "i", "args": 3}, r"args must be a str \| list"),
        ({"image": "i", "args": [3]}, r"args must be a str \| list"),
        ({"image": "i", "args": {"a": "b"}}, r"args must be a str \| list"),
        ({"image": "i", "mount": 3}, r"mount must be a str \| list \| dict"),
        ({"image": "i", "mount": [3]}, r"mount must be a str \| list \| dict"),
        ({"image": "i", "working_directory": 3}, "working_directory must be a str"),
    ],
)
@pytest.mark.parametrize("kind", [Container, Singularity])
def test_other_types_are_refused(kind: type[Container], arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        kind(**arguments)


def test_the_base_class_names_no_program() -> None:
    with pytest.raises(SSUnsupportedError, match="use smartsim.settings.Singularity"):
        Container("image.sif").words("/m", "singularity")


def test_what_the_user_handed_over_stays_the_users() -> None:
    args, mount = ["--nv"], {"/data": "/input"}
    container = Singularity("image.sif", args=args, mount=mount)
    args.append("--changed")
    mount["/changed"] = ""
    assert container == Singularity("image.sif", args=["--nv"], mount={"/data": "/input"})
