"""The sandbox: a deterministic stand-in for Claude, offline, never passed off as a model.

    reply = Sandbox().reply("POST", "/v1/messages", {}, body)

`Reply.steps` are bytes to send, `Wait` and `Cut`: a server carries them out in order.
"""

from __future__ import annotations

from apertis.sandbox.reply import Cut, Reply, Speed, Step, Wait
from apertis.sandbox.service import Sandbox

__all__ = ["Cut", "Reply", "Sandbox", "Speed", "Step", "Wait"]
