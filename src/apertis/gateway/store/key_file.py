"""The key file: hashes of keys as JSON, readable by its owner only, replaced as a whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from apertis.errors import ConfigurationError
from apertis.gateway.keys.admission import KeyRecord
from apertis.gateway.keys.secret import hash_secret, hint_of, new_secret

__all__ = ["FILE_NAME", "OpenedKeys", "load_keys", "open_keys"]

FILE_NAME = "keys.json"


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    keys: tuple[KeyRecord, ...]


class OpenedKeys(msgspec.Struct, frozen=True):
    """The known keys; and the secret of the one that was made just now, to be shown once."""

    records: tuple[KeyRecord, ...]
    new_secret: str | None = None

    def __repr__(self) -> str:
        made = "a new secret" if self.new_secret is not None else "no new secret"
        return f"OpenedKeys({len(self.records)} records, {made})"


def load_keys(data: Path) -> tuple[KeyRecord, ...] | None:
    """Read the keys below `data`; None when none were made yet.

    `ConfigurationError` when the file cannot be read.
    """
    path = data / FILE_NAME
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} is damaged ({error}); 'apertis serve --new-key' replaces it"
        ) from error
    if document.version != 1:
        raise ConfigurationError(f"{path} was written by another version ({document.version})")
    return document.keys


def open_keys(data: Path, *, replace: bool = False) -> OpenedKeys:
    """Read the keys below `data`, and make the first one when there is none.

    `replace=True` makes a new key in any case; the old ones are forgotten.
    """
    known = None if replace else load_keys(data)
    if known is not None:
        return OpenedKeys(known)
    secret = new_secret()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = KeyRecord(hash_secret(secret), hint_of(secret), now)
    written = msgspec.json.format(msgspec.json.encode(_Document(1, (record,))), indent=2)
    try:
        made = _write(data, written, replace=replace)
    except OSError as error:
        raise ConfigurationError(f"cannot write below {data}: {error.strerror}") from error
    if made:
        return OpenedKeys((record,), secret)
    # Another server made the first key at the same moment: that one is shown there.
    return OpenedKeys(load_keys(data) or ())


def _write(data: Path, content: bytes, *, replace: bool) -> bool:
    """Write the file in one step; False when it is there already and may not be replaced."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data / FILE_NAME
    # mkstemp makes the file with mode 0600.
    descriptor, name = tempfile.mkstemp(prefix=f".{FILE_NAME}.", dir=data)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(name).replace(path)
        else:
            path.hardlink_to(name)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
    return True
