"""`apertis serve --workers N`: the parent process, and the program of each worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apertis.cli.exit_codes import ExitCode, exit_code_of
from apertis.errors import ApertisError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.gateway.config import Settings
    from apertis.gateway.replicas.worker import Worker
    from apertis.gateway.store.database import Store

_LOG_SECONDS = 1.0
_PROGRAM = ("-P", "-m", "apertis.cli.workers")


def serve_with_workers(
    settings: Settings,
    listener: socket.socket,
    options: Mapping[str, Any],
    *,
    reread: Callable[[], Settings],
    new_key: bool,
    announce: Callable[[str | None, Callable[..., None]], None],
) -> int:
    """Run the parent until it is stopped.

    `announce` is given the administrator's secret, if one was made just now, and the log.
    """
    from apertis.gateway.observe.log import EventHandler, Log
    from apertis.gateway.replicas.parent import Parent, worker_environment

    async def run() -> int:
        log = Log(2, asyncio.get_running_loop(), form=settings.log.format)
        logging.getLogger().addHandler(EventHandler(log))

        async def ready(store: Store) -> None:
            announce(await _administrator(store, new_key=new_key), log.event)

        parent = Parent(
            settings,
            listener,
            (sys.executable, *_PROGRAM),
            environment=worker_environment(os.environ),
            options={
                name: str(value) if isinstance(value, Path) else value
                for name, value in options.items()
                if value is not None
            },
            reread=reread,
            tell=log.event,
        )
        try:
            await parent.run(ready)
        finally:
            await log.close(_LOG_SECONDS)
        return ExitCode.SERVICE if parent.failures else ExitCode.OK

    return asyncio.run(run())


async def _administrator(store: Store, *, new_key: bool) -> str | None:
    """Make the administrator's key where there is none yet, or a new secret is wanted."""
    from apertis.gateway.admin.keys import ensure_administrator
    from apertis.gateway.keys.directory import Directory

    directory = Directory(await store.keys.list())
    return await ensure_administrator(
        store.keys, directory, new_secret_wanted=new_key, now=time.time()
    )


def main() -> int:
    """Run one worker, whose parent has started it."""
    from apertis.gateway.replicas.messages import Begin, receive
    from apertis.gateway.replicas.worker import Worker

    line = socket.socket(fileno=int(sys.argv[-1]))
    # Terminals and service managers send these to all processes of a group: the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    begin = receive(line)
    if not isinstance(begin, Begin):
        # The parent ended in between.
        return ExitCode.SERVICE
    worker = Worker(line, begin.slot, begin.of)
    try:
        return _serve(worker, begin.listener, begin.options)
    except ApertisError as error:
        worker.fail(error.message)
        return exit_code_of(error)


def _serve(worker: Worker, descriptor: int, options: Mapping[str, Any]) -> int:
    from apertis.gateway.config import read_settings
    from apertis.gateway.gateway import Gateway
    from apertis.gateway.serving.server import Server, settle_memory

    given: dict[str, Any] = dict(options)
    given |= {name: Path(options[name]) for name in ("config", "data") if name in options}

    def read() -> Settings:
        return read_settings(os.environ, **given)

    def ready() -> None:
        settle_memory()
        worker.serves()

    settings = read()
    gateway = Gateway(settings, reread=read, worker=worker)
    server = Server(
        None,
        socket.socket(fileno=descriptor),
        service=gateway,
        stop_seconds=settings.server.stop_seconds,
        tls=settings.server.tls_files,
        takes_signals=False,
    )

    def stop(hurried: bool) -> None:
        server.stop(drop_connections=hurried)

    def stop_alone(_number: int, _frame: object) -> None:
        server.stop()

    worker.on_stop = stop
    worker.on_reload = server.reload
    # Whoever ends one worker gets another in its place.
    signal.signal(signal.SIGTERM, stop_alone)
    logging.captureWarnings(True)
    server.serve_until_stopped(ready)
    return ExitCode.SERVICE if gateway.lost_records else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
