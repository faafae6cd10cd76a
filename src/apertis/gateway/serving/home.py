"""The response to `GET /`: what this is and where to go on. Public, so without secrets."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import msgspec

from apertis.version import __version__

if TYPE_CHECKING:
    from apertis.gateway.upstreams.contract import RawHeaders

_WHAT = "An Apertis gateway: Claude's Messages API behind keys, budgets and limits."
_PATHS = (
    ("POST /v1/messages", "messages; also count_tokens, batches and models, with a key"),
    ("GET /openapi.json", "every endpoint, described for programs"),
    ("GET /healthz", "whether the process is alive"),
    ("GET /readyz", "whether requests can be served"),
    ("GET /v1/me/usage", "limits and usage of the key that asks"),
    ("GET /api/user/token", "the quota of the key that asks"),
    ("/admin/v1/", "keys and usage, with an administrator's key"),
)
_START = "export ANTHROPIC_BASE_URL=<this address> ANTHROPIC_API_KEY=<your key>"
# The page needs nothing from anywhere, and nobody shows it within a page of theirs.
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def home(accept: str) -> tuple[RawHeaders, bytes]:
    """Give headers and body in the form that is accepted: HTML, JSON, or else plain text."""
    accept = accept.lower()
    if "text/html" in accept:
        kind, body = b"text/html; charset=utf-8", _html()
    elif "json" in accept:
        kind, body = b"application/json", _json()
    else:
        kind, body = b"text/plain; charset=utf-8", _text()
    headers = [
        (b"content-type", kind),
        (b"vary", b"accept"),
        (b"content-security-policy", _POLICY.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    return headers, body


def _json() -> bytes:
    return msgspec.json.encode(
        {"name": "apertis", "version": __version__, "about": _WHAT, "endpoints": dict(_PATHS)}
    )


def _text() -> bytes:
    width = max(len(path) for path, _ in _PATHS)
    rows = [f"  {path:{width}}  {words}" for path, words in _PATHS]
    lines = [_WHAT, f"Version {__version__}.", "", *rows, "", f"  {_START}", ""]
    return "\n".join(lines).encode()


def _html() -> bytes:
    rows = "".join(
        f"<dt><code>{escape(path)}</code></dt><dd>{escape(words)}</dd>\n" for path, words in _PATHS
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Apertis gateway'
        f"</title></head>\n<body>\n<h1>Apertis gateway</h1>\n<p>{escape(_WHAT)}</p>\n"
        f"<p>Version {escape(__version__)}.</p>\n<dl>\n{rows}</dl>\n"
        f"<pre>{escape(_START)}</pre>\n</body>\n</html>\n"
    ).encode()
