"""The pages of the dashboard as one file: styles, scripts and data inlined, nothing fetched.

A page that was opened from a disk may not load modules. So each module becomes a function that is called once and
returns what it exports, in the order of their imports. What modules must keep to stands in `static/source.js`.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from collections.abc import Mapping
from importlib.resources import files

_STYLE = re.compile(r'<link rel="stylesheet" href="static/([^"]+)">')
_SCRIPT = re.compile(r'<script type="module" src="static/([^"]+)"></script>')
_PRELOAD = re.compile(r'<link rel="modulepreload" href="static/[^"]+">\n')
_ICON = re.compile(r'href="static/(icon\.svg)"')
_IMPORT = re.compile(r'^import\s+(?:\{([^}]*)\}|(\w+))\s+from\s+"(\.[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+((?:async\s+)?function|class|const)\s+(\w+)", re.MULTILINE)
_EXPORTS = re.compile(r"\bexport\s*\{([^}]*)\};?\s*$")


def page(data: str) -> str:
    """Return a report: one HTML file with all that it needs.

    Args:
        data: what it shows, as JSON; `static/source.js` says what it must hold.

    Example:
        >>> "report-data" in page('{"generated_at": 0}')
        True
    """
    html = _PRELOAD.sub("", _text("index.html"))
    styles = [_text(name) for name in _STYLE.findall(html)]
    scripts = [script(name) for name in _SCRIPT.findall(html)]
    policy = (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hashes(styles)}; script-src {_hashes(scripts)}"
    )
    inlined = iter(styles)
    html = _STYLE.sub(lambda _: f"<style>{next(inlined)}</style>", html)
    inlined_scripts = iter(scripts)
    html = _SCRIPT.sub(lambda _: f'<script type="module">{next(inlined_scripts)}</script>', html)
    icon = base64.b64encode(_text("icon.svg").encode()).decode()
    html = _ICON.sub(lambda _: f'href="data:image/svg+xml;base64,{icon}"', html)
    head = f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
    html = html.replace('<meta charset="utf-8">', head, 1)
    inert = data.replace("<", "\\u003c")  # no name in it ends the script element
    return html.replace("<body>", f'<body>\n<script type="application/json" id="report-data">{inert}</script>', 1)


def script(entry: str) -> str:
    """Return a module and all that it imports, as one script without imports.

    Args:
        entry: the path of the module, relative to the folder of static files.
    """
    names: dict[str, str] = {}
    parts: list[str] = []
    _collect(entry, names, parts)
    return re.sub(r"<(?=/script|!--)", r"\\x3c", "\n".join(parts), flags=re.IGNORECASE)


def _collect(path: str, names: dict[str, str], parts: list[str]) -> None:
    source = _text(path)
    for found in _IMPORT.finditer(source):
        target = _resolved(path, found[3])
        if target not in names:
            _collect(target, names, parts)
    names[path] = f"$module{len(names)}"
    parts.append(f"const {names[path]} = (() => {{\n{_as_function(source, path, names)}\n}})();")


def _as_function(source: str, path: str, names: Mapping[str, str]) -> str:
    def imported(found: re.Match[str]) -> str:
        wanted = _pairs(found[1]) if found[1] is not None else [("default", found[2])]
        return f"const {{ {', '.join(f'{a}: {b}' for a, b in wanted)} }} = {names[_resolved(path, found[3])]};"

    given = [(name, name) for _, name in _EXPORT.findall(source)]
    if listed := _EXPORTS.search(source):
        given = [(public, local) for local, public in _pairs(listed[1])]  # what else looks like one is in a comment
        source = source[: listed.start()]
    source = _EXPORT.sub(r"\1 \2", _IMPORT.sub(imported, source))
    return f"{source}\nreturn {{ {', '.join(f'{public}: {local}' for public, local in given)} }};"


def _pairs(names: str) -> list[tuple[str, str]]:
    """Return the two names of each item of "a, b as c": as it is called there, and as it is called here."""
    words = (item.split() for item in names.split(",") if item.strip())
    return [(item[0], item[-1]) for item in words]


def _resolved(importer: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), target))


def _hashes(inlined: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inlined)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _text(name: str) -> str:
    return files("smartsim.app.dashboard").joinpath("static", name).read_text(encoding="utf-8")
