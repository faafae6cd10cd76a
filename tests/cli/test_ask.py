from __future__ import annotations

import base64
import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apertis.cli.exit_codes import ExitCode
from apertis.testing import Exchange, Reset, ScriptedServer, json_response, sandbox_server

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-test",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Yes."},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
def test_an_answer_is_plain_text_in_a_pipe(command: Command, way: str) -> None:
    done = command("ask", way, "What is recursion?")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert done.stdout.endswith("\n")
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_both_ways_give_the_same_text(command: Command) -> None:
    question = "What is recursion?"
    assert command("ask", question).stdout == command("ask", "--no-stream", question).stdout


def test_every_option_is_sent(environment: dict[str, str], command: Command) -> None:
    picture = Path(__file__).parents[2] / "examples" / "stripes.png"
    with ScriptedServer([json_response(200, MESSAGE)]) as server:
        arguments = [
            "--no-stream",
            "-m",
            "claude-test",
            "--system",
            "Be brief.",
            "-i",
            str(picture),
        ]
        arguments += ["--thinking", "--thinking-budget", "2000", "--max-tokens", "3000"]
        done = command(
            "ask", *arguments, "See?", input="piped", env={"APERTIS_BASE_URL": server.base_url}
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout == "Yes.\n"
    assert done.stderr == "Hm.\n"
    body = server.requests[0].json()
    assert isinstance(body, dict)
    content = body["messages"][0]["content"]
    assert content[0]["source"]["media_type"] == "image/png"
    assert content[1] == {"type": "text", "text": "See?\n\npiped"}
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert (body["model"], body["system"]) == ("claude-test", "Be brief.")
    assert body["max_tokens"] == 3000


def test_thinking_leaves_room_for_the_answer(command: Command) -> None:
    done = command("ask", "--thinking", "Is 7 prime?")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr.strip()


def test_piped_bytes_that_are_no_text_are_no_error(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "apertis.cli", "ask", "What is this?"],
        input=b"caf\xe9 \xff",
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "caf\N{REPLACEMENT CHARACTER}" in done.stdout.decode()


PICTURE = Path(__file__).parents[2] / "examples" / "stripes.png"
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj<<>>endobj\n"


def asked(
    environment: dict[str, str], *arguments: str, input: bytes = b""
) -> tuple[list[dict[str, Any]] | str, subprocess.CompletedProcess[bytes]]:
    """The content of the question as a service gets it."""
    with ScriptedServer([json_response(200, MESSAGE)]) as server:
        done = subprocess.run(
            [sys.executable, "-m", "apertis.cli", "ask", "--no-stream", *arguments],
            input=input,
            env=environment | {"APERTIS_BASE_URL": server.base_url},
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    body = server.requests[0].json()
    assert isinstance(body, dict)
    content: list[dict[str, Any]] | str = body["messages"][0]["content"]
    return content, done


@pytest.mark.parametrize(
    ("data", "kind", "media_type"),
    [
        (PICTURE.read_bytes(), "image", "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image", "image/jpeg"),
        (PDF, "document", "application/pdf"),
    ],
)
def test_a_picture_or_a_pdf_that_is_piped_in_is_attached(
    environment: dict[str, str], data: bytes, kind: str, media_type: str
) -> None:
    content, _ = asked(environment, "See?", input=data)
    assert isinstance(content, list)
    assert [block["type"] for block in content] == [kind, "text"]
    assert content[0]["source"]["media_type"] == media_type
    assert base64.b64decode(content[0]["source"]["data"]) == data
    alone, _ = asked(environment, input=data)
    assert alone == content[:1]


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04\x14\x00\x00\x00",
        b"\x7fELF\x02\x01\x01\x00",
        gzip.compress(b"text", mtime=0),
        b"one\x00two\x00",
    ],
)
def test_other_binary_that_is_piped_in_is_refused(environment: dict[str, str], data: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "apertis.cli", "ask", "What is this?"],
        input=data,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, b"")
    assert done.stderr.startswith(b"apertis: stdin: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_with_a_byte_order_mark_is_read(environment: dict[str, str], encoding: str) -> None:
    content, _ = asked(environment, input="größer\n".encode(encoding))
    assert content == "größer"


def test_a_file_is_what_its_first_bytes_say(environment: dict[str, str], tmp_path: Path) -> None:
    paper, notes = tmp_path / "paper.pdf", tmp_path / "notes.txt"
    paper.write_bytes(PDF)
    notes.write_text("Buy milk.", "utf-8")
    files = [str(paper), str(notes), str(PICTURE), "https://example.com/a/b.PDF?x=1"]
    files += ["https://example.com/c.jpg#top"]
    content, _ = asked(environment, *(word for file in files for word in ("-f", file)), "Compare.")
    assert isinstance(content, list)
    assert [block["type"] for block in content] == [
        *("document", "document", "image", "document", "image", "text"),
    ]
    assert [block.get("title") for block in content[:2]] == ["paper.pdf", "notes.txt"]
    assert content[1]["source"]["data"] == "Buy milk."
    assert content[3]["source"] == {"type": "url", "url": "https://example.com/a/b.PDF?x=1"}
    assert content[4]["source"] == {"type": "url", "url": "https://example.com/c.jpg#top"}


@pytest.mark.parametrize("name", ["none.pdf", "a.zip"])
def test_a_file_that_cannot_be_sent_is_a_usage_error(
    command: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04\x14\x00")
    done = command("ask", "--file", str(tmp_path / name), "See?")
    assert done.returncode == ExitCode.USAGE
    assert name in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_tokens_are_shown_on_demand(environment: dict[str, str]) -> None:
    _, done = asked(environment, "-u", "See?")
    assert done.stderr.decode().splitlines() == ["Hm.", "apertis: tokens: 1 input, 1 output"]


@pytest.mark.parametrize("input", ["", " \n"])
def test_nothing_to_ask_is_a_usage_error(command: Command, input: str) -> None:
    done = command("ask", input=input)
    assert done.returncode == ExitCode.USAGE
    assert "nothing to ask" in done.stderr


def test_a_missing_image_is_a_usage_error(command: Command) -> None:
    done = command("ask", "--image", "none.png", "See?")
    assert done.returncode == ExitCode.USAGE
    assert "none.png" in done.stderr


def test_a_strange_thinking_budget_is_a_usage_error(command: Command) -> None:
    done = command("ask", "--thinking-budget", "much", "Why?")
    assert done.returncode == ExitCode.USAGE
    assert "adaptive" in done.stderr


def test_an_answer_that_was_cut_off_is_told(command: Command) -> None:
    done = command("ask", "--max-tokens", "2", "What is recursion?")
    assert done.returncode == 0
    assert "--max-tokens 2" in done.stderr


def test_a_connection_that_breaks_is_a_network_error(command: Command) -> None:
    with ScriptedServer(lambda _: Exchange(Reset)) as server:
        done = command("ask", "Hello", env={"APERTIS_BASE_URL": server.base_url})
    assert done.returncode == ExitCode.NETWORK
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_an_answer_at_once(environment: dict[str, str]) -> None:
    with sandbox_server(tokens_per_second=1) as server:
        target = {"APERTIS_BASE_URL": server.base_url, "APERTIS_API_KEY": server.api_key}
        process = subprocess.Popen(
            [sys.executable, "-m", "apertis.cli", "ask", "What is recursion?"],
            env=environment | target,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            assert process.stdout is not None
            assert os.read(process.stdout.fileno(), 1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in errors
