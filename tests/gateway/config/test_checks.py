from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.config.conftest import Problems, Read


def test_tls_needs_both_files_and_they_must_be_there(
    problems_of: Problems, read_file: Read, tmp_path: Path
) -> None:
    assert problems_of("[server]\ntls_key = 'k.pem'\n") == [
        "apertis.toml:2: server.tls_key needs server.tls_certificate beside it",
        "apertis.toml:2: server.tls_key names k.pem, and there is no such file",
    ]
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    text = "[server]\ntls_key = 'k.pem'\ntls_certificate = 'c.pem'\n"
    server = read_file(text).settings.server
    assert (server.has_tls, server.tls_key) == (True, tmp_path / "k.pem")
    (problem,) = problems_of("", APERTIS_SERVER_TLS_CERTIFICATE=str(tmp_path / "c.pem"))
    assert problem == "APERTIS_SERVER_TLS_CERTIFICATE needs server.tls_key beside it"


def test_several_workers_are_refused_with_the_reason(problems_of: Problems) -> None:
    (problem,) = problems_of("[server]\nworkers = 4\n")
    assert problem.startswith("apertis.toml:2: server.workers must be 1, not 4: limits and quotas")


@pytest.mark.parametrize(
    ("host", "url", "itself"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1", "http://localhost:8000/v1", True),
        ("0.0.0.0", "http://[::1]:8000", True),
        ("10.0.0.5", "http://10.0.0.5:8000", True),
        ("10.0.0.5", "http://127.0.0.1:8000", False),
        ("127.0.0.1", "http://127.0.0.1:8001", False),
        ("127.0.0.1", "http://example.com:8000", False),
    ],
)
def test_a_gateway_is_not_its_own_upstream(
    problems_of: Problems, host: str, url: str, itself: bool
) -> None:
    text = f"[server]\nhost = '{host}'\n[[upstreams]]\nname = 'a'\nbase_url = '{url}'\n"
    problems = problems_of(text)
    assert len(problems) == itself
    assert all("apertis.toml:5: upstreams[0].base_url is http" in found for found in problems)
    problems = problems_of("", APERTIS_HOST=host, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=url)
    assert len(problems) == itself
    assert all(found.startswith("ANTHROPIC_BASE_URL is http") for found in problems)


def test_all_problems_come_at_once_those_of_the_file_by_line(problems_of: Problems) -> None:
    text = """\
[[upstreams]]
name = "a b"
[cache]
ttl_seconds = -1
[server]
tls_key = "k"
workers = 2
colour = 1
[prices.m]
input = 1
"""
    problems = problems_of(text, APERTIS_LIMITS_PER_KEY="x", APERTIS_LOG_REQUEST="1")
    assert [problem.split()[0] for problem in problems[:2]] == [
        "APERTIS_LOG_REQUEST",
        "APERTIS_LIMITS_PER_KEY",
    ]
    lines = [int(problem.split(":")[1]) for problem in problems[2:]]
    assert lines == [1, 2, 4, 6, 6, 7, 8, 9]
