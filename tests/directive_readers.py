"""How each scheduler reads the options in a job script: what stands behind `#SBATCH` and its like, into words.

Slurm's and Grid Engine's are checked against the real programs (tests/clusters); PBS', LSF's and Cobalt's follow their
documents, and Flux' is its RFC 36, which splits with Python's own `shlex`.
"""

from __future__ import annotations

import re
import shlex


def slurm(line: str) -> list[str]:
    words: list[str] = []
    position = 0
    while True:
        while position < len(line) and line[position].isspace():
            position += 1
        if position == len(line):
            return words
        assert line[position] != ":", "sbatch: Unexpected `:`"
        word, quote, escaped = "", "", False
        while position < len(line) and (quote or not line[position].isspace()):
            character = line[position]
            if escaped:
                word, escaped = word + character, False
            elif character == "\\":
                escaped = True
            elif quote and character == quote:
                quote = ""
            elif not quote and character in "\"'":
                quote = character
            elif not quote and character == "#":
                return [*words, word] if word else words
            else:
                word += character
            position += 1
        assert not quote, "unmatched quotes"
        assert word, "an empty word ends the options"
        words.append(word)


def pbs(line: str) -> list[str]:
    words, word, quote, inside, escaped = [], "", "", False, False
    for character in line:
        if escaped:
            word, escaped = word + character, False
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "\"'":
            quote, inside = character, True
        elif character == "\\":
            escaped, inside = True, True
        elif character.isspace():
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            word, inside = word + character, True
    assert not quote, "qsub: unmatched quotes"
    return [*words, word] if inside else words


def pbs_resources(text: str) -> dict[str, str]:
    """Read what stands behind `-l`: names and values with commas between them; a value in quotes ends where they do."""
    found = {}
    while text:
        match = re.match(r"""(?P<name>[^=,]+)=(?:"(?P<a>[^"]*)"|'(?P<b>[^']*)'|(?P<c>[^,"'\s&]*))(?:,|$)""", text)
        assert match is not None, f"Illegal attribute or resource value {text!r}"
        found[match["name"]] = next(value for value in (match["a"], match["b"], match["c"]) if value is not None)
        text = text[match.end() :]
    return found


def lsf(line: str) -> list[str]:
    words, word, quote, inside = [], "", "", False
    for character in line:
        if quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "\"'":
            quote, inside = character, True
        elif character.isspace():
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            assert character not in "\\#&|;<>()$*?[]!`", f"{character} outside quotes"
            word, inside = word + character, True
    assert not quote, "unmatched quotes"
    return [*words, word] if inside else words


def sge(line: str) -> list[str]:
    words, word, quote, inside = [], "", False, False
    for character in line.partition("#")[0]:
        if character in "\"'":
            quote, inside = not quote, True
        elif character.isspace() and not quote:
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            word, inside = word + character, True
    return [*words, word] if inside else words


def cobalt(line: str) -> list[str]:
    return line.split()


def flux(line: str) -> list[str]:
    assert not re.search("[\"']{3}.", line), "unclosed triple quote"
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.escapedquotes = "\"'"
    return list(lexer)
