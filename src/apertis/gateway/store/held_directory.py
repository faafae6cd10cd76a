"""A directory that one process holds: it is locked itself, so no file in it need be trusted."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Identity = tuple[int, int]


class HeldDirectory:
    """An existing directory, locked until it is closed.

    `BlockingIOError` when another process holds it, `OSError` when it cannot be opened. Where
    the system has no locks on directories it is watched only.
    """

    def __init__(self, path: Path) -> None:
        # What is given may depend on the current directory, which may change.
        self.path = path.absolute()
        self._descriptor = _open_locked(self.path)
        self._identity = identity(self.path)

    def is_lost(self) -> bool:
        """Return whether its path now leads elsewhere: it was deleted, moved or unmounted."""
        return leads_elsewhere(self.path, self._identity)

    def close(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def identity(path: Path) -> Identity:
    """Return the identity of a file or directory, whatever had the same path before."""
    found = path.stat()
    return found.st_dev, found.st_ino


def directory_trouble(path: Path, known: Identity) -> str | None:
    """Return the reason that files in the directory cannot be written; None if they can."""
    try:
        found = identity(path)
    except OSError:
        return "is gone"
    if found != known:
        return "was replaced by another"
    return None if os.access(path, os.W_OK | os.X_OK) else "cannot be written"


def leads_elsewhere(path: Path, known: Identity) -> bool:
    """Return whether a path leads to something else than it did, or to nothing."""
    try:
        return identity(path) != known
    except OSError:
        return True


if sys.platform == "win32":

    def _open_locked(_: Path) -> int | None:
        # Windows lets nobody delete a file that is open: a lock on a file in it suffices.
        return None
else:
    import fcntl

    def _open_locked(path: Path) -> int | None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:
            # Some network file systems lock files only.
            os.close(descriptor)
            return None
        return descriptor
