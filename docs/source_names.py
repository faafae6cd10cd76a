"""What the modules of the source define, read from their syntax trees; nothing is run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parent.parent / "src"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Definition:
    """Where a name is defined, and how."""

    module: str
    node: ast.stmt


@cache
def module(name: str) -> ast.Module:
    """Return the syntax tree of a module of the source."""
    path = SOURCE.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module: of an `if TYPE_CHECKING`, the branch that checkers read."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from statements(node.body)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "not TYPE_CHECKING":
            yield from statements(node.orelse)
        else:
            yield node


def resolve(where: str, name: str) -> Definition | None:
    """Return the definition of a name, through the imports that lead to it."""
    found: ast.stmt | None = None
    for node in statements(module(where).body):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("apertis"):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return resolve(str(node.module), alias.name)
        elif isinstance(node, ast.ClassDef | Function):
            found = node if node.name == name else found
        elif name in assigned(node):
            found = node
    return Definition(where, found) if found is not None else None


def assigned(node: ast.stmt) -> list[str]:
    """Return the names that a statement gives a value to."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def exported(package: str) -> list[str]:
    """Return the public names of a package: its `__all__`, or what it imports as itself.

    A module has its public classes.
    """
    body = list(statements(module(package).body))
    for node in body:
        if "__all__" in assigned(node) and isinstance(node, ast.Assign | ast.AnnAssign):
            if isinstance(node.value, ast.List):
                names: list[str] = ast.literal_eval(node.value)
                return names
            aliases = [a for n in body if isinstance(n, ast.ImportFrom) for a in n.names]
            found = [alias.name for alias in aliases if alias.name == alias.asname]
            return sorted(found, key=lambda name: (name[0].islower(), name))
    return [n.name for n in body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]


# What public classes are made of, and users never name.
HIDDEN = frozenset(
    {
        "AsyncHTTPResponses",
        "AsyncOpenStream",
        "Configured",
        "HTTPResponses",
        "MessageSoFar",
        "OpenStream",
        "PageFacts",
        "ResponseFacts",
    }
)


def base_name(base: ast.expr) -> str:
    """Return the name of a parent, without what stands in its brackets."""
    base = base.value if isinstance(base, ast.Subscript) else base
    return base.id if isinstance(base, ast.Name) else ""


def is_private(base: ast.expr) -> bool:
    """Return whether a class is one that users never see."""
    name = base_name(base)
    return name in HIDDEN or (name.startswith("_") and name != "_Struct")


def private_parents(where: str, node: ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the private classes that a class is made of, with their modules."""
    for base in node.bases:
        found = resolve(where, base_name(base)) if is_private(base) else None
        if found is not None and isinstance(found.node, ast.ClassDef):
            yield found.module, found.node


def members(where: str, node: ast.ClassDef) -> Iterator[tuple[ast.stmt, str | None]]:
    """Yield what a class has, with the string below it; that of its private parents first."""
    body = list(statements(node.body))
    own = {member.name for member in body if isinstance(member, Function)}
    for module_name, parent in private_parents(where, node):
        for member, text in members(module_name, parent):
            name = member.name if isinstance(member, Function) else "_"
            if name not in own and not (parent.name in HIDDEN and name.startswith("_")):
                yield member, text
    for place, member in enumerate(body):
        after = body[place + 1] if place + 1 < len(body) else None
        below = after.value if isinstance(after, ast.Expr) else None
        text = below.value if isinstance(below, ast.Constant) else None
        yield member, text if isinstance(text, str) else None


def class_docstring(where: str, node: ast.ClassDef) -> str | None:
    """Return its docstring, else that of a private parent."""
    own = ast.get_docstring(node)
    inherited = (class_docstring(*parent) for parent in private_parents(where, node))
    return own or next(filter(None, inherited), None)
