"""The origin of the installed distribution. Only those who miss a part of it need this."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from apertis.version import __version__


def install_command(extra: str) -> str:
    """Return the command that adds an extra, from where this distribution came.

    The name alone would not do: an index may have another distribution under it.
    """
    try:
        recorded = distribution("apertis").read_text("direct_url.json")
    except PackageNotFoundError:
        return f"pip install '.[{extra}]' (in a clone of Apertis)"
    if recorded is None:
        return f"pip install 'apertis[{extra}]=={__version__}'"
    origin: dict[str, Any] = json.loads(recorded)
    url: str = origin["url"]
    directory = origin.get("dir_info")
    if directory is not None:
        folder = shlex.quote(f"{url2pathname(urlsplit(url).path)}[{extra}]")
        return f"pip install {'-e ' if directory.get('editable') else ''}{folder}"
    vcs = origin.get("vcs_info", {}).get("vcs")
    source = f"{vcs}+{url}" if vcs else url
    return f"pip install {shlex.quote(f'apertis[{extra}] @ {source}')}"
