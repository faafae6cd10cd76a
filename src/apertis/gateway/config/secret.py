"""A value that nothing shows by accident."""

from __future__ import annotations

import hmac


class Secret:
    """A credential. `reveal()` gives its text; `repr`, `str` and formats show nothing of it.

    `setting` and `source` say where it was read, for messages: `api_key_env` and the name of the
    variable, or `api_key_file` and the path.
    """

    __slots__ = ("_text", "setting", "source")

    def __init__(self, text: str, *, setting: str = "", source: str = "") -> None:
        self._text = text
        self.setting = setting
        self.source = source

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: what is pickled can be read")
