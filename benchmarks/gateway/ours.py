"""Our own gateway as a team runs it: keys with a quota, limits, usage and logs, all of it on."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.launching import Installed, Launch, free_port, installed_in
from harness.environments import Environment, clean_environ
from harness.processes import ProcessFailedError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "ours"
COMMAND_SECONDS = 60
_UPSTREAM_KEY = "STUB_API_KEY"
_ENVIRON = {_UPSTREAM_KEY: "sk-upstream"}
# Higher than the load ever reaches, so that requests are counted and none is refused.
_CONFIG = """\
[store]
data = {data}
{store}
[limits]
per_address = "100000000/1m"
per_key = "100000000/1m"
tokens_per_minute = 1000000000000
in_flight = 100000

[log]
requests = true

[[upstreams]]
name = "stub"
kind = "anthropic"
base_url = "http://127.0.0.1:{port}"
api_key_env = "{variable}"
max_connections = 2000
"""
_QUOTA_UNITS = 10**15
_ONE_KEY = (("keys", "create", "--name", "benchmark", "--quota", str(_QUOTA_UNITS)),)
_ENVIRONMENT = Environment("apertis-gateway", (".[gateway]",))


@dataclass(frozen=True)
class Ours:
    """`apertis serve --config`, installed from the checkout as a user installs it."""

    name: str = NAME
    environment: Environment = _ENVIRONMENT
    conditions: str = (
        "one process; a key with a quota, limits by address and by key, tokens a minute, requests "
        "in flight, exact cost, usage journal, SQLite store, JSON request logs to a file, metrics: "
        "all on"
    )

    # What the command line is told before the start; each key that it makes is used.
    commands: tuple[tuple[str, ...], ...] = _ONE_KEY
    serve_options: tuple[str, ...] = ()
    store_url: str = ""
    # What its configuration has besides.
    settings: str = ""

    def prepare(self) -> None:
        self.environment.prepare()

    @cached_property
    def version(self) -> str:
        return self.environment.versions["apertis"]

    @property
    def installed(self) -> Installed:
        return installed_in(self.environment)

    def launch(self, folder: Path, upstream_port: int) -> Launch:
        config = folder / "apertis.toml"
        data = json.dumps(str(data_folder(folder)))
        store = f"url = {json.dumps(self.store_url)}\n" if self.store_url else ""
        text = _CONFIG.format(data=data, store=store, port=upstream_port, variable=_UPSTREAM_KEY)
        config.write_text(text + self.settings, encoding="utf-8")
        told = [self.told(folder, *command) for command in self.commands]
        port = free_port()
        options = ("--config", str(config), "--port", str(port), *self.serve_options)
        return Launch(
            [self._program, "serve", *options],
            _ENVIRON,
            folder,
            port,
            secrets=tuple(answer["secret"] for answer in told if "secret" in answer),
        )

    def told(self, folder: Path, *command: str) -> dict[str, Any]:
        """What a command answers on the gateway whose files are in this folder."""
        options = ("--json", "--config", str(folder / "apertis.toml"))
        done = subprocess.run(
            [self._program, *command, *options],
            env=clean_environ() | _ENVIRON,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ProcessFailedError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    @property
    def _program(self) -> str:
        return str(self.environment.python.with_name("apertis"))


def data_folder(folder: Path) -> Path:
    return folder / "data"
