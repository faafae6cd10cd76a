"""A docstring -> descriptions of a function and its parameters: Google, NumPy, reST, Epydoc."""

from __future__ import annotations

import re
from inspect import cleandoc

_PARAMETERS = (
    r"(?:Args|Arguments|Params|Parameters|(?:Keyword|Other) (?:Args|Arguments|Parameters))"
)
_OTHERS = (
    r"(?:Returns?|Yields?|Raises|Warns|Receives|Attributes|Examples?|Notes?|References|See Also"
    r"|Warnings?|Todo|Methods)"
)
_GOOGLE = re.compile(rf"({_PARAMETERS}|{_OTHERS}):\s*")
_NUMPY = re.compile(rf"({_PARAMETERS}|{_OTHERS})\s*")
_RULE = re.compile(r"-{3,}\s*")
_IS_PARAMETERS = re.compile(_PARAMETERS)
_FIELD = re.compile(r"[:@](\w+)(?:\s+([^:]*?))?\s*:(?:\s+|$)(.*)")
_FIELD_NAMES = frozenset({"param", "parameter", "arg", "argument", "key", "keyword", "kwarg"})
_OTHER_FIELDS = frozenset(
    (
        *("return", "returns", "rtype", "raise", "raises", "except", "exception", "type"),
        *("yield", "yields", "ytype", "var", "ivar", "cvar", "note", "see", "since"),
    )
)
_GOOGLE_ITEM = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+|$)(.*)")
_NUMPY_ITEM = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")


def parse(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Return the description of a function, and those of its parameters by name."""
    lines = cleandoc(docstring or "").splitlines()
    described: list[str] = []
    found: dict[str, list[str]] = {}
    at, ended = 0, False
    while at < len(lines):
        line = lines[at]
        below = lines[at + 1] if at + 1 < len(lines) else ""
        if (head := _NUMPY.fullmatch(line)) and _RULE.fullmatch(below):
            end = _end_of_numpy(lines, at + 2)
            if _IS_PARAMETERS.fullmatch(head[1]):
                _numpy_items(lines[at + 2 : end], found)
            at, ended = end, True
        elif head := _GOOGLE.fullmatch(line):
            end = _end_of_indented(lines, at + 1)
            if _IS_PARAMETERS.fullmatch(head[1]):
                _google_items(lines[at + 1 : end], found)
            at, ended = end, True
        elif (field := _FIELD.fullmatch(line)) and field[1] in _FIELD_NAMES | _OTHER_FIELDS:
            end = at + 1
            while end < len(lines) and lines[end].strip() and not _FIELD.fullmatch(lines[end]):
                end += 1
            if field[1] in _FIELD_NAMES and field[2]:
                # `:param int count:` has the type before the name.
                found[field[2].split()[-1].lstrip("*")] = [field[3], *lines[at + 1 : end]]
            at, ended = end, True
        else:
            if not ended:
                described.append(line)
            at += 1
    texts = {name: _flowed(text) for name, text in found.items()}
    return "\n".join(described).strip(), {name: text for name, text in texts.items() if text}


def _flowed(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


def _end_of_indented(lines: list[str], at: int) -> int:
    while at < len(lines) and (not lines[at].strip() or lines[at][0].isspace()):
        at += 1
    return at


def _end_of_numpy(lines: list[str], at: int) -> int:
    while at < len(lines):
        if at + 1 < len(lines) and _RULE.fullmatch(lines[at + 1]) and lines[at].strip():
            return at
        at += 1
    return at


def _google_items(lines: list[str], found: dict[str, list[str]]) -> None:
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    first = min(indents, default=0)
    text: list[str] = []
    for line in lines:
        item = _GOOGLE_ITEM.fullmatch(line[first:])
        if item:
            text = found[item[1]] = [item[2]]
        else:
            text.append(line)


def _numpy_items(lines: list[str], found: dict[str, list[str]]) -> None:
    text: list[str] = []
    for line in lines:
        item = _NUMPY_ITEM.fullmatch(line)
        if item:
            text = []
            for name in item[1].split(","):
                found[name.strip().lstrip("*")] = text
        else:
            text.append(line)
