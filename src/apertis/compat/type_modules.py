"""The modules under `apertis.types`: one for each name, as `anthropic.types` has them.

They are made when they are imported. Each shows the name that it is called after, and has what else
its package has.
"""

from __future__ import annotations

from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

from apertis.compat.type_names import (
    INNER,
    elsewhere,
    found,
    name_of_module,
    names_in,
    resolved,
    with_beta,
    without_beta,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


_SHARED = "shared"
_PACKAGES = frozenset({"beta", "messages", _SHARED})


def show(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return a package's `__getattr__`, `__dir__` and `__all__`."""

    def look(name: str) -> Any:
        if name in _PACKAGES or (name[:1].islower() and name_of_module(name)):
            return import_module(f"{package}.{name}")
        return found(package, name)

    return look, lambda: sorted(names_in(package)), sorted(names_in(package))


def find_type_spec(fullname: str) -> ModuleSpec | None:
    """Return the spec of a module under `apertis.types`, or None.

    Raises:
        ImportError: It belongs to another product.
    """
    module = fullname.rpartition(".")[2]
    if module == _SHARED:
        return ModuleSpec(fullname, _Loader(None), is_package=True)
    if name := name_of_module(module):
        return ModuleSpec(fullname, _Loader(name))
    if sentence := elsewhere(module):
        # Not ModuleNotFoundError, of which `from ... import` keeps the name alone.
        raise ImportError(f"cannot import {fullname!r}: {sentence}", name=fullname)
    return None


class _Loader(Loader):
    def __init__(self, name: str | None) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the module show its name, and find others in its package."""
        package = module.__name__.rpartition(".")[0]

        def look(name: str) -> Any:
            inner = INNER.get(without_beta(name))
            return resolved(inner) if inner else found(package, name)

        module.__doc__ = f"Names of `{package}`, where `anthropic` has them."
        module.__dict__["__getattr__"] = look
        if self._name is not None:
            name = with_beta(self._name) if ".beta" in package else self._name
            module.__dict__[name] = found(package, name)
            module.__dict__["__all__"] = [name]
