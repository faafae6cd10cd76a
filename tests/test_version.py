"""One version, wherever it is told."""

from __future__ import annotations

import re
from importlib.metadata import version

import apertis
from apertis.version import __version__


def test_the_version_is_one() -> None:
    assert apertis.__version__ == __version__ == version("apertis")


def test_it_is_a_version_that_installers_can_order() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", __version__)
