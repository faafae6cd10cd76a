"""Runs one order a line from standard input, as JSON, and answers each with what it measured.

    python -m gateway.load

Operations: `closed_loop`, `one_answer` and `at_once` on one target, `in_turns` on several.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import uvloop

from gateway.load.calls import closed_loop, in_turns, one_answer
from gateway.load.streams import at_once
from gateway.load.targets import Target

_ON_ONE = {"closed_loop": closed_loop, "one_answer": one_answer, "at_once": at_once}


def measured(order: dict[str, Any]) -> dict[str, Any]:
    targets = [Target.from_json(fields) for fields in order["targets"]]
    operation = order["operation"]
    try:
        if operation == "in_turns":
            return uvloop.run(in_turns(targets, order))
        return uvloop.run(_ON_ONE[operation](targets[0], order))
    except (OSError, TimeoutError) as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def main() -> None:
    # Nothing here makes cycles while it measures, and a collection would be seen as latency.
    gc.disable()
    for line in sys.stdin:
        print(json.dumps(measured(json.loads(line))), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
