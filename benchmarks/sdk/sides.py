"""The two SDKs, each in an environment of its own, and the stub's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.environments import BENCHMARKS, Environment

_CLIENTS = Path(__file__).parent / "clients"
_UVLOOP = 'uvloop; sys_platform != "win32" and implementation_name == "cpython"'

STUB = Environment("stub", (_UVLOOP,))


@dataclass(frozen=True)
class Side:
    """One SDK: where it is installed, and the names of its clients."""

    environment: Environment
    module: str
    sync_client: str
    async_client: str

    def worker(self, origin: str) -> list[str]:
        """A process that runs operations until its standard input ends."""
        script = str(_CLIENTS / "worker.py")
        return [*self._python(), script, self.module, self.sync_client, self.async_client, origin]

    def cold(self, *base_url: str) -> list[str]:
        """A process that imports the sync client, calls once if told where, and ends."""
        return [
            *self._python(),
            str(_CLIENTS / "cold.py"),
            self.module,
            self.sync_client,
            *base_url,
        ]

    def _python(self) -> list[str]:
        # Isolated: no user site, no PYTHON* variables, no neighbors of the script on the path.
        return [str(self.environment.python), "-I"]


@dataclass(frozen=True)
class Sides:
    """Ours and theirs, in that order everywhere."""

    ours: Side = Side(Environment("apertis", (".",)), "apertis", "Apertis", "AsyncApertis")
    theirs: Side = Side(
        Environment("anthropic", ("anthropic==2.14.*",)),
        "anthropic",
        "Anthropic",
        "AsyncAnthropic",
    )

    def prepare(self) -> None:
        for environment in (self.ours.environment, self.theirs.environment, STUB):
            environment.prepare()


def stub_command(script: str, *arguments: str) -> list[str]:
    return [str(STUB.python), "-E", "-s", str(BENCHMARKS / script), *arguments]
