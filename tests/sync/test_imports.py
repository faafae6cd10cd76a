"""What importing and constructing does not do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

SERVER = ["apertis.gateway", "apertis.cli", "apertis.sandbox", "click", "rich", "uvloop"]
HEAVY = ["asyncio", *SERVER]
OPTIONAL = ["httpx2", "httpx", "jiter", "pydantic", "email", "urllib.request"]


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(program)],
        # A program that is measured loads more.
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(program: str) -> set[str]:
    return set(
        json.loads(run(f"{program}\nimport json, sys; print(json.dumps(list(sys.modules)))"))
    )


def test_importing_the_package_loads_nothing_that_a_blocking_program_will_not_use() -> None:
    found = loaded("import apertis")
    assert not found & {*HEAVY, *OPTIONAL, "msgspec", "httptools", "ssl", "socket"}


def test_the_blocking_client_loads_no_asyncio() -> None:
    found = loaded(
        "from apertis import Apertis; Apertis(api_key='k', base_url='https://x.example')"
    )
    assert "apertis.sync.client" in found
    assert not found & {*HEAVY, *OPTIONAL, "apertis.aio.client"}


def test_the_asyncio_client_loads_no_blocking_one() -> None:
    found = loaded("from apertis import AsyncApertis; AsyncApertis(api_key='k')")
    assert "apertis.aio.client" in found
    assert not found & ({*HEAVY, *OPTIONAL, "apertis.sync.client"} - {"asyncio"})


@pytest.mark.parametrize("kind", ["Apertis", "AsyncApertis"])
def test_a_constructor_opens_no_file_and_no_connection(kind: str) -> None:
    """Python tells its audit hooks of every file, socket and process."""
    program = f"""
        import sys
        from apertis import {kind}
        {kind}(api_key="k")  # Everything is imported.
        seen = []
        watched = ("open", "socket.", "os.", "subprocess.", "urllib.", "import", "ctypes.")
        watching = True
        def hook(event, arguments):
            if watching and event.startswith(watched):
                seen.append((event, str(arguments)[:200]))
        sys.addaudithook(hook)
        client = {kind}(api_key="k", base_url="https://x.example", proxy="http://p:1", timeout=5)
        client.with_options(max_retries=1)
        watching = False
        assert not seen, seen
    """
    run(program)


def test_a_client_that_was_never_used_leaves_without_a_word() -> None:
    assert (
        run("""
        import warnings
        warnings.simplefilter("error")
        from apertis import Apertis, AsyncApertis
        Apertis(api_key="k"); AsyncApertis(api_key="k")
    """)
        == ""
    )


def test_a_client_that_nobody_closed_is_gone_with_its_last_name() -> None:
    """No cycle holds it: its sockets do not wait for the collector."""
    run("""
        import gc, weakref
        from apertis import Apertis
        from apertis.testing import ScriptedServer, json_response
        with ScriptedServer([json_response(200, {})]) as server:
            client = Apertis(api_key="k", base_url=server.base_url)
            client.request("GET", "/v1/x")
            gc.collect(); gc.disable()
            wire = weakref.ref(client._sender.transport)
            del client
            assert wire() is None
    """)


@pytest.mark.parametrize("kind", ["Apertis", "AsyncApertis"])
def test_a_client_that_only_counts_loads_no_arithmetic(kind: str) -> None:
    """Until somebody asks what was spent, or much has come."""
    found = loaded(f"from apertis import {kind}; {kind}(api_key='k', base_url='https://x.example')")
    assert "apertis.spending" in found
    late = ("apertis.accounting", "apertis.aio.metered", "apertis.sync.metered")
    assert not [name for name in found if name.startswith(late)]
