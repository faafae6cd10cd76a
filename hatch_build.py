"""The README as it is shown with a distribution: away from the repository.

Its links into the repository become the names of what they lead to, which the source distribution
has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def standing_alone(readme: str) -> str:
    """The text, with links to addresses only."""
    return _LINK.sub(_link, readme)


def _link(found: re.Match[str]) -> str:
    text, target = found.groups()
    if re.match(r"https://|mailto:", target):
        return found[0]
    path = target.partition("#")[0]
    return text if not path or path == text else f"{text} (`{path}`)"


class ReadmeHook(MetadataHookInterface):
    """Gives the distribution its long description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add it to what pyproject.toml says."""
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": standing_alone(readme)}
