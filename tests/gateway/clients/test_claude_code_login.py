"""Claude Code's own `/login`, in a terminal, approved in the console, to the end of the sign-in."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.gateway.clients.installing import CLAUDE_CODE
from tests.gateway.clients.test_claude_code_itself import PROGRAM, QUIET
from tests.gateway.console.test_device import decide
from tests.kit.consoles import furnish
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kit.consoles import Office
    from tests.kit.gateways import RunningGateway

if sys.platform != "win32":
    import fcntl
    import pty
    import struct
    import termios

pytestmark = [
    pytest.mark.skipif(CLAUDE_CODE.missing is not None, reason=str(CLAUDE_CODE.missing)),
    pytest.mark.skipif(sys.platform == "win32", reason="it needs a terminal of POSIX"),
]
ENOUGH_SECONDS = 60
# A screen that is drawn anew takes no keys yet.
_QUIET_SECONDS = 0.7
_AGAIN_SECONDS = 5.0
_CONTROL = re.compile(r"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b\][^\x07]*\x07|\x1b.")
_CODE = r"\b[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}\b"


class Terminal:
    """A terminal with Claude Code in it: what it shows, and keys for it."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.raw = b""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execve(PROGRAM, [str(PROGRAM)], environment)
        size = struct.pack("HHHH", 50, 160, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)

    @property
    def text(self) -> str:
        return " ".join(_CONTROL.sub(" ", self.raw.decode("utf-8", "replace")).split())

    def read(self, seconds: float) -> bool:
        """Take what comes within some time; False if nothing did."""
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        with contextlib.suppress(OSError):
            self.raw += os.read(self.descriptor, 65536) if ready else b""
        return bool(ready)

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Read until something holds; what is drawn anew comes without what stays as it was."""
        end = time.monotonic() + ENOUGH_SECONDS
        while not condition():
            assert time.monotonic() < end, self.text[-2000:]
            self.read(0.2)

    def shows(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.text)

    def press(self, keys: bytes, pattern: str) -> None:
        """Press keys, again if need be, until something else is shown."""
        self.wait_for(lambda: not self.read(_QUIET_SECONDS))
        self.raw = b""
        pressed = -_AGAIN_SECONDS

        def shown() -> object:
            nonlocal pressed
            if time.monotonic() - pressed > _AGAIN_SECONDS:
                os.write(self.descriptor, keys)
                pressed = time.monotonic()
            return self.shows(pattern)

        self.wait_for(shown)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)


@pytest.fixture
def office(start_gateway: Callable[..., RunningGateway]) -> Office:
    return furnish(start_gateway())


@pytest.fixture
def home(tmp_path: Path, office: Office) -> Path:
    """A home of somebody whose settings name the gateway."""
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    named = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": office.gateway.base_url}
    (home / ".claude" / "settings.json").write_text(json.dumps(named))
    return home


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    quiet = {name: value for name, value in QUIET.items() if name != "DISABLE_TELEMETRY"}
    shell = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color"}
    # No browser is opened: the test follows the link itself.
    return {**shell, "BROWSER": "true", **quiet}


@pytest.fixture
def terminal(home: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(home, environment)
    yield terminal
    terminal.close()


def say(home: Path, environment: dict[str, str]) -> tuple[int, str]:
    work = home / "work"
    work.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(PROGRAM), "-p", "hi"],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=ENOUGH_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def asked(office: Office, path: str) -> list[int]:
    return [line["status"] for line in office.gateway.log_lines() if line.get("path") == path]


def test_it_signs_in_works_and_ends(
    office: Office, home: Path, environment: dict[str, str], terminal: Terminal
) -> None:
    managed = json.dumps({"settings": {"model": "claude-haiku-5-5"}, "group": "Engineering"})
    saved = office.gateway.client.call("POST", "/admin/v1/managed-settings", managed.encode())
    assert saved.status == 200
    terminal.wait_for(lambda: terminal.shows("Choose the text style"))
    terminal.press(b"\r", "Enter to connect")
    terminal.press(b"\r", "No, cancel login")
    # The first contact asks for trust; in the clear it is this machine's own.
    terminal.press(b"\x1b[A", "Yes, trust this gateway")
    terminal.press(b"\r", _CODE)
    code = terminal.shows(_CODE)
    assert code is not None
    begun = {
        "verification_uri_complete": f"/device?user_code={code[0]}",
        "user_code": code[0],
    }
    assert decide(office.member, begun).status == 303
    credentials = home / ".claude" / ".credentials.json"
    terminal.wait_for(lambda: credentials.exists() and b"sk-" in credentials.read_bytes())
    # Without a terminal it goes on with the token.
    returned, output = say(home, environment)
    assert returned == 0, output
    assert "I am the Apertis sandbox" in output
    # Lines of the log are written some time after their request.
    until(lambda: asked(office, "/v1/messages"))
    assert set(asked(office, "/v1/messages")) == {200}
    until(lambda: asked(office, "/managed/settings"))
    assert set(asked(office, "/managed/settings")) <= {200, 304}
    page = office.member.see("/sign-ins")
    assert b"claude-code/2." in page.body
    # Whoever is disabled is told so at once, and not after minutes of trying.
    path = f"/admin/v1/people/{office.ids['Max']}/disable"
    assert office.gateway.client.call("POST", path).status == 200
    before = time.monotonic()
    returned, output = say(home, environment)
    assert returned != 0
    assert "no longer accepts this session" in output
    assert time.monotonic() - before < 30
