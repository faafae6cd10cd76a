"""The command line in this process, on a store of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.cli.group import run

if TYPE_CHECKING:
    from pathlib import Path


class CommandLine:
    """Runs `apertis ... --data`, and gives what it prints."""

    def __init__(self, data: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capture = capture

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run, and give stdout; or what is said on stderr when it is to fail."""
        self._capture.readouterr()
        exit_code = run([*arguments, "--data", str(self.data)])
        out, err = self._capture.readouterr()
        assert exit_code == code, err
        told: str = err.splitlines()[-1].removeprefix("apertis: ") if code else out
        return told

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def apertis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    for name in ("APERTIS_API_KEY", "APERTIS_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return CommandLine(tmp_path / "data", capsys)
