"""A plugin of pytest: every server of a test run is reached through a gateway.

The tests keep what they say. In place of `sandbox_server()` they get a gateway in front of the
sandbox; the requests to a `ScriptedServer` take the way over a gateway whose only upstream is the
server that a test has just started, and which knows the keys that the tests use.

Where the gateway is meant to behave differently, `DIFFERS` says in what, and the test is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import apertis.testing
from apertis.gateway.config import read_settings
from apertis.gateway.gateway import Gateway
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.serving.server import Server, bind
from apertis.testing import RunningServer, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

SECRETS = (
    "k",
    "sk-0123456789abcdefghij",
    "sk-another-key-of-mine",
    "sk-test",
    "sk-test-0123456789",
    "sk-the-key-of-the-copy",
)
# A part of a test's id, and why it cannot hold here.
DIFFERS = {
    # The gateway has its own key upstream, and its own connections.
    "test_the_key_is_a_bearer_token": "the caller's key stays at the gateway",
    "test_a_key_that_was_read_from_a_file_may_end": "the caller's key stays at the gateway",
    "test_a_key_in_a_header_is_enough": "the caller's key stays at the gateway",
    "test_the_environment_stands_in_for_arguments": "the caller's key stays at the gateway",
    "test_close_ends_the_connections": "the gateway keeps its connections",
    "test_a_with_block_closes_the_client": "the gateway keeps its connections",
    "test_a_copy_may_point_elsewhere": "there is one gateway for both servers",
    # Lists of models are asked for once, and kept.
    "test_every_request_says_who_asks": "the gateway asks for the models itself",
    "test_default_headers_are_sent": "the gateway asks for the models itself",
    "test_a_copy_has_its_own_settings": "the gateway asks for the models itself",
    "test_one_client_serves_several_event_loops": "the gateway asks for the models itself",
    "test_base_url_may_end_in_v1_or_not": "the gateway asks for the models itself",
    "test_models.py::test_models_are_read": "the gateway asks for the models itself",
    "test_models.py::test_iterating": "the gateway pages the models itself",
    "test_models.py::test_pages_can_be": "the gateway pages the models itself",
    "test_models.py::test_a_list_takes_several": "the gateway pages the models itself",
    "test_models.py::test_one_model": "the gateway finds a model in the list",
    "test_models.py::test_an_unknown_model": "the gateway finds a model in the list",
    "test_models.py::test_an_unreadable_list": "the gateway reads the list",
    # Paths that the API does not have.
    "test_any_endpoint_can_be_asked": "the gateway serves the paths that it knows",
    "test_every_method_can_be_used": "the gateway serves the paths that it knows",
    "test_the_answer_is_what_it_says_it_is": "the gateway serves the paths that it knows",
    "test_json_that_is_none_is_an_error": "the gateway serves the paths that it knows",
    "test_any_json_can_be_sent": "the gateway serves the paths that it knows",
    "test_a_path_cannot_smuggle_a_line": "the gateway serves the paths that it knows",
    # Batches belong to keys, and their usage is booked.
    "test_list_goes_on_over_the_pages": "the gateway lists the batches that it has seen made",
    "test_run_gives_the_results_in_the_order": "the gateway collects results by itself",
    "test_a_batch_that_is_deleted_unread": "what a batch has used is booked before it is deleted",
    "test_a_rejected_creation_is_released": "the gateway knows no batch that nobody saw made",
    "-delete-DELETE-": "what a batch has used is booked before it is deleted",
    # Fields that are the gateway's own, and those of the OpenAI form.
    "-fallback_models]": "the field is the gateway's own",
    "-fallback_timeout]": "the field is the gateway's own",
    "-fallback_enabled]": "the field is the gateway's own",
    "-compression]": "the field is the gateway's own",
    "-n]": "the field is mapped",
    "-stop]": "the field is mapped",
    "-user]": "the field is mapped",
    "-seed]": "the field is refused",
    "-presence_penalty]": "the field is refused",
    "-frequency_penalty]": "the field is refused",
    "-logit_bias]": "the field is refused",
    "-response_format]": "the field is refused",
    # What breaks off ends in an error of the gateway; what cannot be read is not handed on.
    "test_a_truncated_stream_is_an_error_with_what_came": "a cut ends in an error event",
    "test_a_reset_inside_a_stream": "a cut ends in an error event",
    "test_they_do_not_end_in_silence_either": "a cut ends in an error event",
    "test_the_error_of_the_last_try_is_raised": "a cut ends in an error event",
    "test_the_errors_of_streams_pickle": "a malformed stream is refused",
    "test_a_first_event_that_cannot_be_read": "a malformed stream is refused",
    "test_a_block_that_has_ended_cannot_go_on": "a malformed stream is refused",
    "test_an_event_that_cannot_be_is_an_error": "a malformed stream is refused",
    "test_a_stream_that_is_something_else": "an answer that is none is refused",
    "test_an_unreadable_success_is_an_error": "an answer that is none is refused",
    "test_errors_cost_nothing_and_a_lost": "the connection to the gateway does not break",
    "test_a_broken_connection": "the connection to the gateway does not break",
    "test_the_last_break_is_raised": "the connection to the gateway does not break",
    # What an upstream says of the gateway's key is not about the caller's.
    "-401": "the upstream's 401 is about the gateway's own key",
    "test_an_error_in_place_of_the_stream": "the upstream's 401 is about the gateway's own key",
    "test_a_key_that_the_service_echoes": "the upstream never sees the caller's key",
    "test_a_key_inside_a_stream_is_nowhere": "the upstream never sees the caller's key",
    "test_the_key_of_one_call_is": "the upstream never sees the caller's key",
    "test_an_answer_shows_no_key": "the upstream never sees the caller's key",
    "test_a_stand_in_for_a_key": "the upstream never sees the caller's key",
    # A redirect could make a caller send the key elsewhere.
    "test_a_redirect_is_reported": "an upstream's redirect is an answer that is none",
    "test_what_is_final_is_raised_at_once[sync-301]": "an upstream's redirect is no answer",
    "test_what_is_final_is_raised_at_once[async-301]": "an upstream's redirect is no answer",
    "test_an_answer_that_cannot_be_read_says": "an answer that is none is refused",
    "test_what_is_final_is_raised_at_once[sync-404]": "the gateway estimates what is not counted",
    "test_what_is_final_is_raised_at_once[async-404]": "the gateway estimates what is not counted",
    # What is measured in the tests' own process, where the gateway runs too.
    "test_the_wait_is_the_one_that_the_service": "the gateway's own waits would be counted",
    "test_the_recorded_exchanges_go_through_the_asyncio": "some of them differ; see below",
    "test_create_sends_the_requests[async]": "the gateway has seen a batch of this id made",
    # Headers that are the gateway's to say.
    "test_the_fields_say_what_the_service_said": "every answer has the header request-id",
    "test_the_body_may_name_the_request": "every answer has the header request-id",
    "test_an_error_event_may_name_the_request": "every answer has the header request-id",
    "test_errors_that_people_reported": "every answer has the header request-id",
    "test_the_message_comes_back_with": "rate limits of the service are the gateway's own",
    "test_an_error_tells_how_its_answer_came": "rate limits of the service are the gateway's own",
}
NOWHERE = "http://127.0.0.1:9"
SCRIPTED = """
[limits]
per_address = "0"
per_key = "0"
[routing]
breaker_failures = 1000000
[money]
unpriced = "free"
[[upstreams]]
name = "script"
kind = "anthropic"
base_url = "{base_url}"
api_key_env = "UPSTREAM_KEY"
"""
SANDBOX = """
[limits]
per_address = "0"
per_key = "0"
[sandbox]
"""


class Known(Gateway):
    """A gateway that knows the keys of the tests from its start."""

    async def start(self) -> None:
        await super().start()
        self.loop = asyncio.get_running_loop()
        self.directory.apply(
            KeyRecord(
                id=f"key_{number}",
                name=f"key {number}",
                sha256=hashlib.sha256(secret.encode()).hexdigest(),
                hint="",
                created_at=0,
            )
            for number, secret in enumerate(SECRETS)
        )

    async def take_over(self) -> None:
        self.reload()


class Front:
    """The one gateway of the run, in a thread of its own."""

    def __init__(self, folder: Path, config: str) -> None:
        self._file = folder / "apertis.toml"
        self._data = folder / "data"
        self._file.write_text(config)
        self._log = (folder / "log").open("wb")
        self._gateway = Known(self._read(), reread=self._read, log_descriptor=self._log.fileno())
        listener = bind("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self._server = Server(None, listener, service=self._gateway, stop_seconds=2)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._server.serve_until_stopped, args=(ready.set,), daemon=True
        )
        self._thread.start()
        assert ready.wait(60)

    def point_at(self, base_url: str) -> None:
        self._file.write_text(SCRIPTED.format(base_url=base_url))
        taken = asyncio.run_coroutine_threadsafe(self._gateway.take_over(), self._gateway.loop)
        taken.result(60)

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(60)
        self._log.close()

    def _read(self) -> Any:
        return read_settings(
            {"UPSTREAM_KEY": "sk-upstream"}, config=self._file, data=self._data, port=0
        )


class ScriptedUpstream(ScriptedServer):
    """A scripted server behind the gateway."""

    def start(self) -> Self:
        super().start()
        front().point_at(super().base_url)
        return self

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{front().port}"

    def wait_until_disconnected(self, timeout_seconds: float = 10.0) -> None:
        """The gateway keeps a good connection for the next request; it lets go of it here."""
        front().point_at(NOWHERE)
        super().wait_until_disconnected(timeout_seconds)


_running: list[Front] = []
_folder = tempfile.TemporaryDirectory()


def front() -> Front:
    if not _running:
        _running.append(Front(Path(_folder.name), SCRIPTED.format(base_url=NOWHERE)))
    return _running[0]


@contextlib.contextmanager
def sandbox_gateway(
    *, first_token_seconds: float = 0.0, tokens_per_second: float | None = None
) -> Iterator[RunningServer]:
    """`sandbox_server` with a gateway in front of the sandbox."""
    speed = f"first_token_seconds = {first_token_seconds}\n"
    if tokens_per_second is not None:
        speed += f"tokens_per_second = {tokens_per_second}\n"
    with tempfile.TemporaryDirectory() as folder:
        running = Front(Path(folder), SANDBOX + speed)
        try:
            yield RunningServer(f"http://127.0.0.1:{running.port}", SECRETS[-1])
        finally:
            running.stop()


def is_different(item: pytest.Item) -> bool:
    if any(part in item.nodeid for part in DIFFERS):
        return True
    if item.get_closest_marker("skip") is not None:
        return False
    callspec = getattr(item, "callspec", None)
    recording = None if callspec is None else callspec.params.get("recording")
    # The gateway names every answer, and an upstream's 401 is about the gateway's own key.
    return recording is not None and (
        "request-id" not in recording.headers or recording.status == 401
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    different = [item for item in items if is_different(item)]
    config.hook.pytest_deselected(items=different)
    left_out = set(different)
    items[:] = [item for item in items if item not in left_out]


def pytest_unconfigure(config: pytest.Config) -> None:
    for running in _running:
        running.stop()
    _folder.cleanup()


apertis.testing.ScriptedServer = ScriptedUpstream  # type: ignore[misc]
apertis.testing.sandbox_server = sandbox_gateway
