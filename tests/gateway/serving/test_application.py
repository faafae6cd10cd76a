"""What every request meets before and behind what is at its path."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.errors import Refusal, access_denied
from apertis.gateway.serving.asgi import ServedConsole
from apertis.testing import ScriptedServer, json_response
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client, Response

    Start = Callable[..., RunningGateway]

PAGE = "https://chat.example.com"
ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 20,
    "messages": [{"role": "user", "content": "Hi"}],
}
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,x-api-key,x-new",
}


def ask(client: Client, body: dict[str, Any] = ASK, **headers: str) -> Response:
    fields = {"x-api-key": client.api_key, "content-type": "application/json"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.call("POST", "/v1/messages", json.dumps(body).encode(), fields)


def allowed(response: Response) -> str | None:
    return response.headers.get("access-control-allow-origin")


@pytest.fixture(scope="module")
def open_to_a_page(
    run_gateways: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    config = f'[server]\nallowed_origins = ["http://localhost:3000", "{PAGE}"]\n'
    with run_gateways(tmp_path_factory.mktemp("page"), config) as running:
        yield running


def test_a_preflight_is_answered_without_a_key(open_to_a_page: RunningGateway) -> None:
    client = open_to_a_page.client
    for path in ("/v1/messages", "/v1/models", "/v1/messages/batches/b/results", "/v1/nothing"):
        answer = client.call("OPTIONS", path, headers=PREFLIGHT)
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers
        assert allowed(answer) == PAGE
        assert answer.headers["access-control-allow-headers"] == "authorization,x-api-key,x-new"
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert answer.headers["vary"] == "origin"


def test_the_page_can_read_answers_streams_and_errors(open_to_a_page: RunningGateway) -> None:
    client = open_to_a_page.client
    answers = [
        ask(client, origin=PAGE),
        ask(client, ASK | {"stream": True}, origin=PAGE),
        ask(client, origin=PAGE, x_api_key="sk-wrong"),
        ask(client, {"model": "m"}, origin=PAGE),
        client.call("GET", "/v1/nothing", headers={"origin": PAGE}),
        client.call("PUT", "/v1/messages", headers={"origin": PAGE}),
        client.call("GET", "/v1/models", headers={"origin": PAGE, "x-api-key": client.api_key}),
    ]
    assert [answer.status for answer in answers] == [200, 200, 401, 400, 404, 405, 200]
    for answer in answers:
        assert allowed(answer) == PAGE
        assert answer.headers["vary"] == "origin"
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"request-id", "retry-after", "*"} <= set(exposed)
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "https://chat.example.co"])
def test_another_page_cannot(open_to_a_page: RunningGateway, origin: str) -> None:
    client = open_to_a_page.client
    assert (
        client.call("OPTIONS", "/v1/messages", headers=PREFLIGHT | {"origin": origin}).status == 405
    )
    answer = ask(client, origin=origin)
    assert (answer.status, allowed(answer)) == (200, None)
    # A cache must not hand this one to the page that may read it.
    assert answer.headers["vary"] == "origin"


def test_what_is_not_below_v1_is_for_no_page(open_to_a_page: RunningGateway) -> None:
    client = open_to_a_page.client
    for path in ("/admin/v1/keys", "/metrics", "/healthz", "/api/user/token", "/messages"):
        for method in ("OPTIONS", "GET"):
            headers = PREFLIGHT | {"x-api-key": client.api_key}
            assert allowed(client.call(method, path, headers=headers)) is None


def test_no_page_may_call_by_default(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    assert client.call("OPTIONS", "/v1/messages", headers=PREFLIGHT).status == 405
    answer = ask(client, origin=PAGE)
    assert allowed(answer) is None
    assert "vary" not in answer.headers


def test_a_star_lets_every_page(start_gateway: Start) -> None:
    client = start_gateway('[server]\nallowed_origins = ["*"]\n').client
    answer = ask(client, origin="http://any.example")
    assert (answer.status, allowed(answer)) == (200, "*")
    assert allowed(ask(client)) is None


def upstream_config(upstream: ScriptedServer, more: str = "") -> str:
    return f'{more}[[upstreams]]\nname = "a"\nbase_url = "{upstream.base_url}"\n'


def test_an_upstream_does_not_learn_of_the_page(start_gateway: Start) -> None:
    with ScriptedServer([json_response(200, ANSWER)]) as upstream:
        running = start_gateway(upstream_config(upstream))
        assert ask(running.client, origin=PAGE, referer=f"{PAGE}/private").status == 200
        assert PAGE not in str(upstream.requests[0].headers)


def test_what_an_upstream_says_of_origins_stays_here(start_gateway: Start) -> None:
    told = {"access-control-allow-origin": "*", "access-control-allow-credentials": "true"}
    with ScriptedServer([json_response(200, ANSWER, told)]) as upstream:
        answer = ask(start_gateway(upstream_config(upstream)).client, origin=PAGE)
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "header",
    [
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "cf-connecting-ip",
        "true-client-ip",
        "X-Client-IP",
    ],
)
def test_metrics_are_not_for_whom_a_proxy_asks(
    sandbox_gateway: RunningGateway, header: str
) -> None:
    client = sandbox_gateway.client
    assert client.call("GET", "/metrics", headers={}).status == 200
    assert client.call("GET", "/metrics", headers={header: "127.0.0.1"}).status == 401


CLAUDE_CODE = [
    {"user_agent": "claude-cli/2.1.332 (external, cli)"},
    {"x_app": "cli"},
]


@pytest.mark.parametrize("sent_by", CLAUDE_CODE)
def test_claude_code_understands_that_a_model_is_not_for_its_key(
    sandbox_gateway: RunningGateway, sent_by: dict[str, str]
) -> None:
    _, client = sandbox_gateway.make_key(models=["claude-haiku-4-5"])
    others, its = ask(client), ask(client, ASK, **sent_by)
    errors = [json.loads(answer.body)["error"] for answer in (others, its)]
    assert [others.status, its.status] == [403, 400]
    assert [error["type"] for error in errors] == ["permission_error", "invalid_request_error"]
    assert errors[0]["code"] == errors[1]["code"] == "model_access_denied"
    assert errors[0]["message"] == errors[1]["message"]
    assert its.headers["x-should-retry"] == others.headers["x-should-retry"] == "false"


def test_claude_code_is_told_so_of_counting_and_of_batches_too(
    sandbox_gateway: RunningGateway,
) -> None:
    _, client = sandbox_gateway.make_key(models=["claude-haiku-4-5"])
    headers = {"x-api-key": client.api_key, "user-agent": "claude-cli/2.1.332"}
    counted = client.call("POST", "/v1/messages/count_tokens", json.dumps(ASK).encode(), headers)
    batch = json.dumps({"requests": [{"custom_id": "a", "params": ASK}]}).encode()
    assert [
        counted.status,
        client.call("POST", "/v1/messages/batches", batch, headers).status,
    ] == [400, 400]


def test_every_error_says_whether_to_try_again(sandbox_gateway: RunningGateway) -> None:
    client = sandbox_gateway.client
    key = {"x-api-key": client.api_key}
    admin = client.call("GET", "/admin/v1/keys/none", headers=key)
    for answer in (
        ask(client, x_api_key="sk-wrong"),
        ask(client, {"model": "m"}),
        client.call("GET", "/nothing", headers={}),
        client.call("GET", "/v1/models/none", headers=key),
        client.call("GET", "/v1/messages/batches/none", headers=key),
        admin,
    ):
        assert answer.status >= 400
        assert answer.headers["x-should-retry"] == "false"
        assert "x-should-retry" not in ask(client).headers


def test_a_limit_that_opens_soon_is_worth_a_wait_and_one_that_opens_late_is_not(
    start_gateway: Start,
) -> None:
    running = start_gateway('[limits]\nper_address = "0"\nper_key = "0"\n')
    for window, retry in (("1/1m", "true"), ("1/1h", "false")):
        _, client = running.make_key(requests_limit=window)
        assert ask(client).status == 200
        limited = ask(client)
        assert limited.status == 429
        assert limited.headers["x-should-retry"] == retry


def repeating(client: Client, betas: tuple[str, ...]) -> tuple[int, str | None, bytes]:
    """Ask with a header line for each of these, for an answer from the response cache."""
    body = json.dumps(ASK).encode()
    with contextlib.closing(client.connect()) as connection:
        connection.putrequest("POST", "/v1/messages")
        for name, value in {
            "x-api-key": client.api_key,
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-response-cache": "on",
        }.items():
            connection.putheader(name, value)
        for beta in betas:
            connection.putheader("anthropic-beta", beta)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("x-response-cache"), answer.read()


def test_a_header_that_repeats_is_one_value_for_the_response_cache(
    sandbox_gateway: RunningGateway,
) -> None:
    _, client = sandbox_gateway.make_key()
    for betas, expected in [
        (("one", "last"), "miss"),
        (("last",), "miss"),
        (("other", "last"), "miss"),
        (("last", "one"), "miss"),
        (("one", "last"), "hit"),
        (("one, last",), "hit"),
    ]:
        assert repeating(client, betas)[:2] == (200, expected), betas


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308, 399])
@pytest.mark.parametrize("stream", [True, False])
def test_a_redirect_of_an_upstream_ends_here(
    start_gateway: Start, status: int, stream: bool
) -> None:
    redirect = (
        b"HTTP/1.1 %d Elsewhere\r\nlocation: https://user:pw@evil.example/admin?key=secret\r\n"
        b"refresh: 0; url=/admin\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n" % status
    )
    with ScriptedServer([redirect]) as upstream:
        running = start_gateway(upstream_config(upstream))
        answer = ask(running.client, ASK | {"stream": stream})
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["type"]) == (502, "upstream_error", "api_error")
    assert f"status {status}" in error["message"]
    assert "base_url" in error["message"]
    assert answer.headers["x-should-retry"] == "true"
    told = str(answer.headers) + answer.body.decode()
    assert not [word for word in ("evil", "location", "refresh", "secret") if word in told]


PATHS = [
    ("POST", "/v1/messages/count_tokens", ASK),
    ("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": ASK}]}),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/claude-sonnet-4-5", None),
]


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
def test_no_redirect_reaches_a_caller_of_any_path(
    start_gateway: Start, method: str, path: str, body: object
) -> None:
    redirect = json_response(307, {"secret": 1}, {"location": "/admin/v1/keys"})
    with ScriptedServer([redirect, redirect], require_all=False) as upstream:
        client = start_gateway(upstream_config(upstream)).client
        sent = b"" if body is None else json.dumps(body).encode()
        answer = client.call(method, path, sent)
    assert answer.status in {502, 503}
    assert "location" not in answer.headers
    assert b"secret" not in answer.body


def test_redirects_and_refused_credentials_of_a_batch_end_here(start_gateway: Start) -> None:
    described: dict[str, Any] = {
        "id": "msgbatch_1",
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {},
        "results_url": None,
    }
    redirect = json_response(302, {}, {"location": "/admin/v1/keys"})
    refused = json_response(401, {"type": "error", "error": {"type": "authentication_error"}})
    batch = json.dumps({"requests": [{"custom_id": "a", "params": ASK}]}).encode()
    below = "/v1/messages/batches/msgbatch_1"
    asked = [
        ("GET", below),
        ("POST", f"{below}/cancel"),
        ("GET", f"{below}/results"),
        ("DELETE", below),
        ("GET", "/v1/messages/batches"),
    ]
    for bad, retry in ((redirect, "true"), (refused, "false")):
        folder = str(bad[9:12])
        answers = [json_response(200, described)] + [bad] * len(asked)
        with ScriptedServer(answers) as upstream:
            client = start_gateway(upstream_config(upstream), folder=folder).client
            assert client.call("POST", "/v1/messages/batches", batch).status == 200
            for method, path in asked:
                answer = client.call(method, path)
                assert (answer.status, answer.headers["x-should-retry"]) == (502, retry), path
                assert "location" not in answer.headers


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_location_never_goes_down(start_gateway: Start, status: int) -> None:
    told = {"location": "/a", "content-location": "/b", "refresh": "0; url=/c", "x-kept": "yes"}
    with ScriptedServer([json_response(status, ANSWER, told)]) as upstream:
        answer = ask(start_gateway(upstream_config(upstream)).client)
    assert answer.status == status
    assert {*told} & {*answer.headers} == {"x-kept"}


def test_another_upstream_answers_in_place_of_one_that_redirects(start_gateway: Start) -> None:
    redirect = json_response(307, {}, {"location": "https://elsewhere.example/"})
    with (
        ScriptedServer([redirect]) as first,
        ScriptedServer([json_response(200, ANSWER)]) as second,
    ):
        config = upstream_config(first) + upstream_config(second).replace('"a"', '"b"')
        answer = ask(start_gateway(config + "priority = 1\n").client)
    assert (answer.status, json.loads(answer.body)) == (200, ANSWER)


def test_the_log_says_where_a_redirect_leads_without_secrets(start_gateway: Start) -> None:
    location = "https://user:pw@new.example/path?key=secret#part"
    with ScriptedServer([json_response(308, {}, {"location": location})]) as upstream:
        running = start_gateway(upstream_config(upstream))
        ask(running.client)
        running.client.call("GET", "/healthz")

    def lines() -> list[dict[str, Any]]:
        return [line for line in running.log_lines() if line.get("path") == "/v1/messages"]

    until(lines)
    assert lines()[0]["reason"] == "it redirects to https://new.example/path (308)"


async def _no_chat(_scope: Any) -> Refusal:
    return access_denied()


def test_a_defect_of_a_page_is_answered_as_the_page_answers_it(start_gateway: Start) -> None:
    running = start_gateway()

    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        # As Starlette does it: the answer first, and then the exception, for the log.
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"Something broke."})
        raise RuntimeError

    # No page of ours is known to break.
    running.gateway._console = ServedConsole(broken, _no_chat)
    for _ in range(2):
        response = running.client.call("GET", "/console/overview")
        assert (response.status, response.body) == (500, b"Something broke.")
