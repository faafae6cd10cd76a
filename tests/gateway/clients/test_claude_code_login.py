"""Claude Code's own `/login`, in a terminal, approved in the console, to the end of the sign-in.

Its telemetry, the certificate that it trusts, its renewals and its signing out come with it.
"""

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from apertis.gateway.serving.certificate import fingerprint
from tests.gateway.clients.installing import CLAUDE_CODE
from tests.gateway.clients.test_claude_code_itself import PROGRAM, QUIET
from tests.gateway.console.test_device import decide
from tests.gateway.operation.test_tls import trusting, write_certificate
from tests.kit.consoles import sign_in
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.collectors import Collector
    from tests.kit.consoles import Visitor
    from tests.kit.processes import Served

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
_GUIDE = Path(__file__).parents[3] / "docs" / "gateway" / "claude-code.md"
# It renews what ends within five minutes before each use.
_SHORT_SECONDS = 299
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
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def https(
    serve_process: Callable[..., Served],
    authority: trustme.CA,
    collector: Collector,
    tmp_path: Path,
) -> Served:
    """A gateway with a certificate of an authority that is in `authority.pem`."""
    write_certificate(authority, tmp_path)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    served = serve_process(
        APERTIS_SERVER_TLS_CERTIFICATE="server.pem",
        APERTIS_SERVER_TLS_KEY="server.key",
        APERTIS_OTLP_ENDPOINT=collector.url,
        APERTIS_SIGN_IN_TOKEN_SECONDS=str(_SHORT_SECONDS),
    )
    served.tls = trusting(authority)
    return served


class ClaudeCode:
    """Claude Code in a home of somebody whose settings name a gateway."""

    def __init__(self, folder: Path, base_url: str, **environment: str) -> None:
        self.home = folder / "home"
        self.credentials = self.home / ".claude" / ".credentials.json"
        self.credentials.parent.mkdir(parents=True)
        named = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": base_url}
        (self.home / ".claude" / "settings.json").write_text(json.dumps(named))
        quiet = {name: value for name, value in QUIET.items() if name != "DISABLE_TELEMETRY"}
        shell = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "xterm-256color"}
        # No browser is opened: the test follows the link itself.
        self.environment = {**shell, "BROWSER": "true", **quiet, **environment}

    @property
    def token(self) -> str:
        """The access token that it keeps; empty if there is none."""
        if not self.credentials.exists():
            return ""
        kept = json.loads(self.credentials.read_bytes())
        token: str = kept.get("enterpriseGateway", {}).get("jwt", "")
        return token

    def sign_in(self, visitor: Visitor) -> str:
        """Sign in, as somebody approves it in the console; what it shows of the gateway before."""
        terminal = Terminal(self.home, self.environment)
        with contextlib.closing(terminal):
            terminal.wait_for(lambda: terminal.shows("Choose the text style"))
            terminal.press(b"\r", "Enter to connect")
            terminal.press(b"\r", "No, cancel login")
            # The first contact asks for trust; in the clear it is this machine's own.
            shown = terminal.text
            terminal.press(b"\x1b[A", "Yes, trust this gateway")
            terminal.press(b"\r", _CODE)
            code = terminal.shows(_CODE)
            assert code is not None
            begun = {
                "verification_uri_complete": f"/device?user_code={code[0]}",
                "user_code": code[0],
            }
            assert decide(visitor, begun).status == 303
            terminal.wait_for(lambda: self.token)
        return shown

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run it without a terminal, with the token: its code, and what it prints."""
        work = self.home / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=ENOUGH_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout


def made(served: Served, path: str, **fields: object) -> dict[str, Any]:
    response = served.call("POST", f"/admin/v1/{path}", json.dumps(fields).encode())
    assert response.status == 200, response.body
    document: dict[str, Any] = response.json
    return document


def telemetry_settings() -> dict[str, Any]:
    """The settings that the guide tells, which name neither an endpoint nor headers."""
    section = _GUIDE.read_text(encoding="utf-8").partition("\n## Telemetry\n")[2]
    found: dict[str, Any] = json.loads(section.partition("```json\n")[2].partition("```")[0])
    return found


def read_again(served: Served) -> None:
    served.send(signal.SIGHUP)
    served.event("the configuration was read again")


def statuses(lines: list[dict[str, Any]], path: str) -> list[int]:
    return [line["status"] for line in lines if line.get("path") == path]


def test_it_signs_in_works_and_ends(
    https: Served, authority: trustme.CA, collector: Collector, tmp_path: Path
) -> None:
    max_id = made(https, "people", name="Max")["id"]
    visitor = sign_in(https, made(https, "keys", name="Max's key", person="Max")["secret"])
    made(https, "managed-settings", settings={"model": "claude-haiku-5-5", **telemetry_settings()})
    trusted = str(tmp_path / "authority.pem")
    code = ClaudeCode(tmp_path, https.base_url, NODE_EXTRA_CA_CERTS=trusted)
    # It shows how the digest begins that `apertis doctor` tells.
    shown = code.sign_in(visitor)
    assert f"(SHA-256): {fingerprint(tmp_path / 'server.pem')[:16]}" in shown
    first = code.token
    # Without a terminal it goes on with the token, and renews it.
    returned, output = code.run("-p", "hi")
    assert returned == 0, output
    assert "I am the Apertis sandbox" in output
    assert code.token not in ("", first)
    assert b"claude-code/2." in visitor.see("/sign-ins").body
    # The managed settings alone made it send its telemetry here, and whose it is was added.
    until(lambda: {path for path, _, _ in collector.exports} >= {"/v1/logs", "/v1/metrics"})
    for _, headers, body in collector.exports:
        assert headers["content-type"] == "application/x-protobuf"
        assert b"claude-code" in body
        assert b"\x13apertis.person.name\x12\x05\n\x03Max" in body
        assert "authorization" not in headers
    # Another certificate, though of the same authority, is another gateway to it.
    files = [tmp_path / "server.pem", tmp_path / "server.key"]
    kept = [file.read_bytes() for file in files]
    write_certificate(authority, tmp_path)
    read_again(https)
    returned, output = code.run("-p", "hi")
    assert returned != 0
    assert "Not logged in" in output
    for file, content in zip(files, kept, strict=True):
        file.write_bytes(content)
    read_again(https)
    # Whoever is disabled is told so at once, and not after minutes of trying.
    made(https, f"people/{max_id}/disable")
    before = time.monotonic()
    returned, output = code.run("-p", "hi")
    assert returned != 0
    assert "no longer accepts this session" in output
    assert time.monotonic() - before < 30
    # Signing out revokes what it has left, and ends the sign-in, also of whoever is disabled.
    returned, output = code.run("auth", "logout")
    assert returned == 0, output
    assert not code.token
    audited = https.call("GET", "/admin/v1/audit?limit=10").json["data"]
    ends = [one["after"]["why"] for one in audited if one["action"] == "end"]
    assert ends == ["signed out"]
    assert https.stop() == 0
    lines = https.log()
    assert statuses(lines, "/v1/messages")[0] == 200
    assert set(statuses(lines, "/managed/settings")) <= {200, 304, 401}
    assert set(statuses(lines, "/oauth/revoke")) == {200}
