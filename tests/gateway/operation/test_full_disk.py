"""A disk that takes nothing more: what was used is known, booked and told all the same."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from apertis.cli.exit_codes import ExitCode
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kit.processes import Served

_PATIENCE_SECONDS = 20
# As many as were served, of which seven were booked, when nothing of this was there.
MANY = 61

# What a stop waits for a disk is no matter of these tests.
HURRIED = """
import apertis.gateway.gateway as service
service._STOP_SECONDS = service._RESCUE_SECONDS = 0.2
from apertis.cli import main
main()
"""

# Little memory, to fill it soon.
FORGETFUL = """
from functools import partial
import apertis.gateway.gateway as service
service.Journal.open = partial(service.Journal.open, max_unwritten=5)
from apertis.cli import main
main()
"""


def ready(served: Served) -> tuple[int, str]:
    answer = served.call("GET", "/readyz")
    return answer.status, json.loads(answer.body).get("reason", "")


def booked(served: Served) -> int:
    report: dict[str, Any] = json.loads(served.call("GET", "/admin/v1/usage").body)
    return int(report["totals"]["requests"])


def unwritten(served: Served) -> int:
    text = served.call("GET", "/metrics").body.decode()
    (line,) = [each for each in text.splitlines() if each.startswith("apertis_journal_unwritten")]
    return int(float(line.split()[-1]))


def limited_key(served: Served, quota_units: int) -> str:
    """A key with a quota."""
    body = json.dumps({"name": "limited", "quota_units": quota_units}).encode()
    secret: str = json.loads(served.call("POST", "/admin/v1/keys", body).body)["secret"]
    return secret


prlimit = getattr(resource, "prlimit", None)
needs_prlimit = pytest.mark.skipif(prlimit is None, reason="the system has no prlimit")


def no_room(served: Served) -> None:
    """Let the gateway's process write no byte to any file."""
    assert prlimit is not None
    _, hard = prlimit(served.process.pid, resource.RLIMIT_FSIZE)
    prlimit(served.process.pid, resource.RLIMIT_FSIZE, (0, hard))


def room(served: Served) -> None:
    assert prlimit is not None
    _, hard = prlimit(served.process.pid, resource.RLIMIT_FSIZE)
    prlimit(served.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@needs_prlimit
def test_what_is_served_while_nothing_can_be_written_is_booked_when_it_can(
    serve_process: Callable[..., Served],
) -> None:
    served = serve_process()
    assert served.ask().status == 200
    until(lambda: booked(served) == 1)
    no_room(served)
    assert [served.ask().status for _ in range(MANY)] == [200] * MANY
    assert ready(served) == (503, "the usage journal cannot be written")
    assert unwritten(served) == MANY
    assert served.event("the usage journal cannot be written")["level"] == "error"
    room(served)
    until(lambda: ready(served)[0] == 200)
    until(lambda: booked(served) == 1 + MANY)
    assert unwritten(served) == 0
    assert served.stop() == ExitCode.OK
    events = [line["event"] for line in served.log() if "event" in line]
    for text in ("the usage journal cannot be written", "the usage journal can be written again"):
        assert events.count(text) == 1


@needs_prlimit
def test_room_during_a_stop_is_soon_enough(serve_process: Callable[..., Served]) -> None:
    served = serve_process()
    no_room(served)
    assert [served.ask().status for _ in range(MANY)] == [200] * MANY
    served.process.terminate()
    with contextlib.suppress(ConnectionError):
        until(lambda: served.call("GET", "/healthz").status != 200)
    room(served)
    assert served.wait() == ExitCode.OK
    again = serve_process()
    again.api_key = served.api_key
    assert booked(again) == MANY


@needs_prlimit
def test_what_is_lost_at_the_end_is_said(serve_process: Callable[..., Served]) -> None:
    served = serve_process(program=("-c", HURRIED))
    no_room(served)
    assert [served.ask().status for _ in range(MANY)] == [200] * MANY
    assert served.stop() == ExitCode.SERVICE
    (lost,) = [line for line in served.log() if line.get("event", "").startswith("usage is lost")]
    assert lost["records"] == MANY
    assert lost["cost_units"] > 0
    again = serve_process()
    again.api_key = served.api_key
    assert booked(again) == 0


@needs_prlimit
def test_a_quota_does_not_come_back_while_nothing_can_be_written(
    serve_process: Callable[..., Served],
) -> None:
    served = serve_process()
    admin = served.api_key
    limited = limited_key(served, 25_000)
    no_room(served)
    served.api_key = limited
    statuses = [served.ask(max_tokens=1000).status for _ in range(60)]
    refused = statuses.index(402)
    assert statuses == [200] * refused + [402] * (60 - refused)
    assert refused > 0
    room(served)
    served.api_key = admin
    until(lambda: booked(served) == refused)
    served.api_key = limited
    assert served.ask(max_tokens=1000).status == 402


@needs_prlimit
def test_keys_with_a_quota_wait_when_too_much_is_unwritten_and_others_go_on(
    serve_process: Callable[..., Served],
) -> None:
    served = serve_process(program=("-c", FORGETFUL))
    admin = served.api_key
    limited = limited_key(served, 10**9)
    no_room(served)
    served.api_key = limited
    assert [served.ask().status for _ in range(7)] == [200] * 5 + [503] * 2
    refused = served.ask()
    assert refused.error["code"] == "service_unavailable"
    assert refused.error["message"] == "Usage cannot be written, and too much of it waits already"
    assert "retry-after" in refused.headers
    served.api_key = admin
    assert [served.ask().status for _ in range(47)] == [200] * 45 + [503] * 2
    room(served)
    until(lambda: booked(served) == 50)
    served.api_key = limited
    assert served.ask().status == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    folder = tmp_path / "data"
    folder.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    command = [mount, "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk of a folder."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert shutil.disk_usage(folder).free == 0
    return ballast


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_full_disk_has_room_for_what_the_gateway_has_to_write(
    serve_process: Callable[..., Served], small_disk: Path, number: str
) -> None:
    served = serve_process()
    ballast = fill(small_disk)
    assert [served.ask().status for _ in range(MANY)] == [200] * MANY
    # The database has no room of its own.
    until(lambda: ready(served)[0] == 503)
    assert "journal" in ready(served)[1]
    if number == "SIGKILL":
        served.process.kill()
        served.wait()
    else:
        assert served.stop() == ExitCode.OK
    ballast.unlink()
    again = serve_process()
    again.api_key = served.api_key
    assert booked(again) == MANY
    assert ready(again) == (200, "")


def test_a_gateway_that_was_killed_starts_again_on_a_disk_that_is_still_full(
    serve_process: Callable[..., Served], small_disk: Path
) -> None:
    served = serve_process()
    assert served.ask().status == 200
    until(lambda: booked(served) == 1)
    ballast = fill(small_disk)
    served.process.kill()
    served.wait()
    again = serve_process()
    again.api_key = served.api_key
    assert again.ask().status == 200
    ballast.unlink()
    until(lambda: booked(again) == 2)
    until(lambda: ready(again) == (200, ""))
