"""Certificates and their keys, as a server will use them."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import pytest
import trustme

from apertis.gateway.serving.certificate import CertificateError, read_certificate, server_context

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)


def written(
    folder: Path,
    *names: str,
    begins: dt.datetime | None = None,
    ends: dt.datetime | None = None,
) -> tuple[Path, Path]:
    issued = trustme.CA().issue_cert(*names, not_before=begins, not_after=ends)
    certificate, key = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return certificate, key


def test_names_and_end_are_read(tmp_path: Path) -> None:
    ends = NOW.replace(microsecond=0) + DAY
    found = read_certificate(*written(tmp_path, "gateway.example.com", "127.0.0.1", ends=ends))
    assert set(found.names) == {"gateway.example.com", "127.0.0.1"}
    assert found.expires_at == ends.timestamp() > time.time()


@pytest.mark.parametrize(
    ("begins", "ends", "said", "advice"),
    [
        (NOW - 2 * DAY, NOW - DAY, "server.pem has expired", "renew it"),
        (NOW + DAY, NOW + 2 * DAY, "not yet valid", "check this machine's clock"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused(
    tmp_path: Path, begins: dt.datetime, ends: dt.datetime, said: str, advice: str
) -> None:
    files = written(tmp_path, "localhost", begins=begins, ends=ends)
    with pytest.raises(CertificateError, match=said) as caught:
        read_certificate(*files)
    assert caught.value.advice == advice


def test_the_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificate, key = written(tmp_path, "localhost")
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(key)
    with pytest.raises(CertificateError, match=r"server\.key is not the key of"):
        server_context(certificate, key)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    certificate, key = written(tmp_path, "localhost")
    key.unlink()
    with pytest.raises(CertificateError, match=r"server\.key cannot be read: No such file"):
        server_context(certificate, key)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    certificate, key = written(tmp_path, "localhost")
    certificate.write_text("no certificate")
    with pytest.raises(CertificateError, match="are not a PEM certificate with its key"):
        server_context(certificate, key)
