"""Servers for testing your own programs, offline and over real HTTP.

`sandbox_server()` runs the whole service on a free loopback port: requests are checked, answers
are plausible, nothing leaves the machine. `ScriptedServer` answers with exactly the bytes that a
test hands it, pauses, cuts and resets included: for what a program does when the network or the
service misbehaves.
"""

from types import ModuleType as _ModuleType

from apertis.testing.connection import RecordedRequest as RecordedRequest
from apertis.testing.responses import http_chunk as http_chunk
from apertis.testing.responses import json_response as json_response
from apertis.testing.responses import sse_event as sse_event
from apertis.testing.responses import sse_head as sse_head
from apertis.testing.responses import sse_response as sse_response
from apertis.testing.script import AwaitDisconnect as AwaitDisconnect
from apertis.testing.script import Close as Close
from apertis.testing.script import Exchange as Exchange
from apertis.testing.script import Gate as Gate
from apertis.testing.script import Reset as Reset
from apertis.testing.script import StartTLS as StartTLS
from apertis.testing.script import Step as Step
from apertis.testing.scripted import ScriptedServer as ScriptedServer
from apertis.testing.scripted import ScriptError as ScriptError
from apertis.testing.server import RunningServer as RunningServer
from apertis.testing.server import sandbox_server as sandbox_server

# All that stands above; the modules of the package are its attributes as well.
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    name for name in dir() if name[0] != "_" and not isinstance(globals()[name], _ModuleType)
]
