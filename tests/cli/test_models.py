from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_models_are_listed_one_a_line_in_a_pipe(command: Command) -> None:
    done = command("models")
    assert done.returncode == 0, done.stderr
    ids = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert "claude-sonnet-4.5" in ids
    assert len(ids) == len(set(ids))


def test_json_has_every_field_of_every_model(command: Command) -> None:
    done = command("models", "--json")
    models = json.loads(done.stdout)
    ids = [line.split("\t")[0] for line in command("models").stdout.splitlines()]
    assert [model["id"] for model in models] == ids
    assert all(model["type"] == "model" for model in models)
