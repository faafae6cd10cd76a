"""The README for a package index: away from the repository.

Links into the repository become the names of their targets, which the source distribution has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)\n*")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def standing_alone(readme: str) -> str:
    """Return the text with links to URLs only, and without pictures."""
    return _LINK.sub(_link, _IMAGE.sub("", readme))


def _link(found: re.Match[str]) -> str:
    text, target = found.groups()
    if re.match(r"https://|mailto:", target):
        return found[0]
    path = target.partition("#")[0]
    return text if not path or path == text else f"{text} (`{path}`)"


class ReadmeHook(MetadataHookInterface):
    """The hook that sets the long description of the distribution."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add it to what pyproject.toml says."""
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": standing_alone(readme)}
