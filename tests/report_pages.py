"""What a report holds, for tests."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Elements(HTMLParser):
    """The elements of a page: the attributes of each, and the text of scripts and styles, as a browser would see them.

    Attributes:
        found: name, attributes and text of each, in their order.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._is_open = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in the beginning of an element."""
        self.found.append((tag, dict(attrs), []))
        self._is_open = True

    def handle_endtag(self, tag: str) -> None:
        """Take in the end of an element; what follows is of the one around it, whose text nobody asks for."""
        del tag
        self._is_open = False

    def handle_data(self, data: str) -> None:
        """Take in text."""
        if self._is_open:
            self.found[-1][2].append(data)


def data_of(page: str) -> Any:
    """Return what a report shows."""
    (text,) = ("".join(text) for _, attributes, text in Elements(page).found if attributes.get("id") == "report-data")
    return json.loads(text)
