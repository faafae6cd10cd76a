"""Servers for testing your own programs, offline and over real HTTP.

`sandbox_server()` runs the whole service on a free loopback port: requests are checked, answers
are plausible, nothing leaves the machine. `ScriptedServer` answers with exactly the bytes that a
test hands it, pauses, cuts and resets included: for what a program does when the network or the
service misbehaves.
"""

from __future__ import annotations

from apertis.testing.connection import RecordedRequest
from apertis.testing.responses import http_chunk, json_response, sse_event, sse_head, sse_response
from apertis.testing.script import AwaitDisconnect, Close, Exchange, Gate, Reset, StartTLS, Step
from apertis.testing.scripted import ScriptedServer, ScriptError
from apertis.testing.server import RunningServer, sandbox_server

__all__ = [
    "AwaitDisconnect",
    "Close",
    "Exchange",
    "Gate",
    "RecordedRequest",
    "Reset",
    "RunningServer",
    "ScriptError",
    "ScriptedServer",
    "StartTLS",
    "Step",
    "http_chunk",
    "json_response",
    "sandbox_server",
    "sse_event",
    "sse_head",
    "sse_response",
]
