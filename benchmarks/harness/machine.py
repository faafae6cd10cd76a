"""The machine in words that say what it can do and not which one it is."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from harness.processes import cores


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def describe() -> dict[str, str]:
    """What a reader needs to know before comparing with numbers of his own."""
    pinned = "clients on one core, the stub on another" if cores() else "no: one core, or not Linux"
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "pinned": pinned,
    }
