"""The command that adds an extra, by where the distribution came from."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest

from apertis import installation
from apertis.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Let the distribution have come from somewhere, as its `direct_url.json` says it."""

    class Installed:
        def __init__(self, origin: object) -> None:
            self.origin = origin

        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if self.origin is None else json.dumps(self.origin)

    def come_from(origin: object) -> None:
        monkeypatch.setattr(installation, "distribution", lambda _: Installed(origin))

    return come_from


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, f"'apertis[cli]=={__version__}'"),
        (
            {"url": "file:///srv/my%20code", "dir_info": {"editable": True}},
            "-e '/srv/my code[cli]'",
        ),
        ({"url": "file:///srv/code", "dir_info": {}}, "'/srv/code[cli]'"),
        (
            {"url": "https://example.com/a.git", "vcs_info": {"vcs": "git"}},
            "'apertis[cli] @ git+https://example.com/a.git'",
        ),
        ({"url": "https://example.com/a.whl"}, "'apertis[cli] @ https://example.com/a.whl'"),
    ],
)
def test_an_extra_is_added_from_where_the_rest_came(
    installed: Callable[[object], None], origin: object, command: str
) -> None:
    installed(origin)
    assert installation.install_command("cli") == f"pip install {command}"


def test_without_a_distribution_it_is_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr(installation, "distribution", none)
    assert installation.install_command("gateway") == (
        "pip install '.[gateway]' (in a clone of Apertis)"
    )
