"""Tags in input files: where they stand, and what stands there for one member.

A *tag* is the tag text, the name of a parameter, and the tag text again: ``;steps;``. The rules:

* Reading from left to right, wherever a tag of a known parameter begins, it is replaced by the value, and reading goes
  on behind it. Everything else stays as it is, character by character. So in ``;a;X;b;`` with the parameter ``X`` the
  result is ``;a``, the value, ``b;``: two tag texts that enclose no known name mean nothing, and either may belong to
  another tag.
* Names are taken literally: blanks at their ends count, and so does case. Should two known names fit at one place
  (which takes a tag text of several characters), the shorter one does.
* A value is never looked at again, whatever it holds.
* A name that is empty, or contains the tag text or a line end, has no tag.
* What looks like a tag but names no parameter is reported: a word that begins with a letter or an underscore and goes
  on with letters, digits, ``_``, ``.`` or ``-``, between two tag texts on one line that are not part of a known tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a file for one member.

    Attributes:
        text: the text, with the values in place of the tags.
        used: the parameters that were put in.
        unknown: words in the text that look like tags but are no parameters.
    """

    text: str
    used: frozenset[str]
    unknown: frozenset[str]


@dataclass(frozen=True, slots=True)
class Template:
    r"""The text of a file, taken apart at its tags once, to be rendered for many members.

    Attributes:
        pieces: literal text at even places, names of parameters at odd ones.
        unknown: words in the text that look like tags but are no parameters.

    Example:
        >>> template = Template.parse("dt = ;dt;\n", names=["dt"])
        >>> template.render({"dt": "0.5"}).text
        'dt = 0.5\n'
    """

    pieces: tuple[str, ...]
    unknown: frozenset[str]

    @classmethod
    def parse(cls, text: str, tag: str = ";", names: Collection[str] = ()) -> Template:
        """Find the tags of a text.

        Args:
            text: the whole file; its line ends are kept as they are.
            tag: the tag text: one or more characters, of any kind except line ends.
            names: the parameters of the members that it will be rendered for.

        Raises:
            ValueError: when the tag text is empty or has a line end.
        """
        if not tag or _has_line_end(tag):
            raise ValueError(f"{tag!r} cannot mark a tag: use one or more characters that are no line ends")
        mark = re.escape(tag)
        taggable = [name for name in names if name and tag not in name and not _has_line_end(name)]
        pieces = [text]
        if taggable:
            shortest_first = sorted(set(taggable), key=lambda name: (len(name), name))
            pieces = re.split(f"{mark}({'|'.join(map(re.escape, shortest_first))}){mark}", text)
        lookalike = re.compile(rf"{mark}(?=[^\W\d])((?:(?!{mark})[\w.-])+){mark}")
        unknown = frozenset(word for literal in pieces[::2] for word in lookalike.findall(literal))
        return cls(tuple(pieces), unknown - frozenset(taggable))

    def render(self, params: Mapping[str, str]) -> Rendered:
        """Put the values of one member in place of the tags.

        Args:
            params: the member's parameters: all that the template was parsed with.

        Raises:
            ValueError: when the value of a tag is missing.
        """
        parts = list(self.pieces)
        names = self.pieces[1::2]
        try:
            parts[1::2] = [params[name] for name in names]
        except KeyError as error:
            raise ValueError(
                f"there is no value for {error}: parse the template with the names of this member"
            ) from None
        return Rendered("".join(parts), frozenset(names), self.unknown)


def _has_line_end(text: str) -> bool:
    return "\n" in text or "\r" in text
