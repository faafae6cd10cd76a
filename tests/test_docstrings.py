"""Docstrings begin with a noun phrase or an imperative.

Ruff (D401) holds functions to an imperative. This holds the rest: modules, classes, properties,
fields, and openings that ruff does not know.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "apertis"
QUESTIONS = {"What", "Whether", "How", "Who", "Whose", "Which", "Where", "When", "Why"}


def openings(tree: ast.Module) -> dict[int, str]:
    """The first word of each docstring, by its line; those below fields too."""
    found = {}
    for node in ast.walk(tree):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        for statement in node.body if isinstance(node, documented) else ():
            value = statement.value if isinstance(statement, ast.Expr) else None
            text = value.value if isinstance(value, ast.Constant) else None
            if isinstance(text, str) and text.split():
                found[statement.lineno] = text.split()[0].strip(",:")
    return found


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_no_docstring_begins_with_a_question(path: Path) -> None:
    asked = {
        line: word
        for line, word in openings(ast.parse(path.read_text(encoding="utf-8"))).items()
        if word in QUESTIONS
    }
    assert asked == {}


def test_the_docstrings_of_functions_classes_and_fields_are_found() -> None:
    text = '"""A."""\nclass X:\n  """B."""\n  y: int\n  """C."""\n  def z(self):\n    """Do."""\n'
    assert list(openings(ast.parse(text)).values()) == ["A.", "B.", "C.", "Do."]
