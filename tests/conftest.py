"""What all tests share: the kit's fixtures, what is skipped, and what is said of it."""

from __future__ import annotations

import gc
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, not of the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

pytest.register_assert_rewrite("tests.kit")
pytest_plugins = [
    f"tests.kit.{name}"
    for name in (
        "administration",
        "asking",
        "browsers",
        "collectors",
        "command_line",
        "commands",
        "configuration",
        "consoles",
        "driving",
        "environment",
        "faulty",
        "gateways",
        "money",
        "processes",
        "recorded",
        "resources",
        "responses",
        "stores",
        "valkey",
        "webhooks",
    )
]

CORPUS = Path(__file__).parents[2] / "shared"
NO_CORPUS = "the corpus is not beside the checkout (../shared)"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in a job in a shell's background, and in what a test would start there.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CORPUS.is_dir():
        return
    for item in items:
        if item.get_closest_marker("corpus") is not None:
            # Before the mark of an empty list of parameters, whose reason says less.
            item.add_marker(pytest.mark.skip(reason=NO_CORPUS), append=False)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over thousands of tests that stay until the end."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why tests were skipped, once for each reason."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", ())]
    reasons = Counter(found[2].removeprefix("Skipped: ") for found in skipped)
    if reasons:
        terminalreporter.section("skipped", "=")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:5} {reason}")
