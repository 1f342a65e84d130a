"""What a database says of itself: the texts of INFO and CLUSTER INFO."""

from __future__ import annotations


def parse_sections(info: str) -> dict[str, dict[str, str]]:
    r"""Return the sections of an INFO text, and the fields in each.

    Args:
        info: lines ``# section`` and ``field:value``. Of a field that comes twice, the last value counts; what stands
            before the first section is in one without a name.

    Example:
        >>> parse_sections("# Server\r\nos:Linux\r\n\r\n# CPU\r\nused_cpu_sys:0.5\r\n")
        {'Server': {'os': 'Linux'}, 'CPU': {'used_cpu_sys': '0.5'}}
    """
    sections: dict[str, dict[str, str]] = {}
    fields = None
    for line in info.split("\r\n"):
        if line.startswith("#"):
            fields = sections.setdefault(line.removeprefix("#").strip(), {})
        elif ":" in line:
            if fields is None:
                fields = sections.setdefault("", {})
            name, _, value = line.partition(":")
            fields[name] = value
    return sections


def parse_fields(info: str) -> dict[str, str]:
    r"""Return the fields of a CLUSTER INFO text, which has no sections.

    Example:
        >>> parse_fields("cluster_state:ok\r\ncluster_size:3\r\n")
        {'cluster_state': 'ok', 'cluster_size': '3'}
    """
    return {name: value for name, found, value in (line.partition(":") for line in info.split("\r\n")) if found}
