"""The chat as people use it: in Chromium, with the sandbox as the model."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.kit.browsers import (
    accessibility_problems,
    needs_axe,
    sideways,
    signed_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import FilePayload, Locator, Page, Route

    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway

MESSAGES = "**/console/chat/messages"
QUIET = '[limits]\nper_address = "0"\nper_key = "0"\n'


def opened(page: Page, gateway: RunningGateway, key: str | None = None) -> Page:
    page.goto(f"{gateway.base_url}/console/sign-in?to=/console/chat")
    page.get_by_label("API key").fill(key or gateway.admin_key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.locator("#chat[data-ready]").wait_for()
    return page


@pytest.fixture
def chat(browsing: Browsing, sandbox_gateway: RunningGateway) -> Page:
    return opened(browsing.window(sandbox_gateway), sandbox_gateway)


def ask(page: Page, words: str) -> Locator:
    """Send a message, and wait for the end of the answer."""
    page.get_by_label("Message", exact=True).fill(words)
    page.keyboard.press("Enter")
    answer = page.locator("#chat-turns > .assistant").last
    answer.get_by_role("button", name="Retry").wait_for()
    return answer


def events(*given: dict[str, Any]) -> str:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in given)


START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}}
END = (
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)


def text_events(text: str, index: int = 0) -> tuple[dict[str, Any], ...]:
    return (
        {
            "type": "content_block_start",
            "index": index,
            "content_block": {"type": "text", "text": ""},
        },
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "text_delta", "text": text},
        },
        {"type": "content_block_stop", "index": index},
    )


def answering(page: Page, *given: dict[str, Any], body: str | None = None) -> list[Any]:
    """Let a page be answered with these events; give what it asks."""
    asked: list[Any] = []

    def answer(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or "null"))
        content = events(*given) if body is None else body
        route.fulfill(status=200, content_type="text/event-stream", body=content)

    page.route(MESSAGES, answer)
    return asked


def test_a_message_is_answered_and_its_cost_is_shown(
    chat: Page, sandbox_gateway: RunningGateway
) -> None:
    answer = ask(chat, "Hello, sandbox")
    expect(answer).to_contain_text("You said: “Hello, sandbox”")
    expect(answer.locator(".meta")).to_have_text(
        re.compile(r"tokens in · \d+ out · \d+\.\d s|tokens in · \d+ out · \$0\.\d+ · ")
    )
    expect(answer.locator(".meta")).to_contain_text("$0.0")
    expect(chat.get_by_role("status").first).to_contain_text("The answer: Hello!")


def test_the_end_of_an_answer_is_in_sight_above_the_form(chat: Page) -> None:
    for _ in range(2):
        answer = ask(chat, "Why is the sky blue? " * 400)
        end = answer.get_by_role("button", name="Retry").bounding_box()
        form = chat.locator("#chat-ask").bounding_box()
        assert end is not None
        assert form is not None
        assert 0 < end["y"] + end["height"] <= form["y"]


def test_the_conversation_goes_on(chat: Page) -> None:
    ask(chat, "First")
    answer = ask(chat, "Second")
    expect(answer).not_to_contain_text("This is the first turn")
    expect(chat.locator("#chat-turns > li")).to_have_count(4)


def test_settings_are_sent(chat: Page) -> None:
    asked = answering(chat, START, *text_events("Yes"), *END)
    chat.get_by_text("System prompt, thinking and tools").click()
    chat.get_by_label("Model", exact=True).select_option("claude-sonnet-4-6")
    chat.get_by_label("System prompt", exact=True).fill("Be brief.")
    chat.get_by_label("Max tokens").fill("3000")
    chat.get_by_label("Thinking", exact=True).select_option("enabled")
    chat.get_by_label("Thinking budget").fill("2048")
    chat.get_by_label("Tools, as a JSON array").fill('[{"name": "t", "input_schema": {}}]')
    ask(chat, "Hi")
    (body,) = asked
    assert body == {
        "model": "claude-sonnet-4-6",
        "max_tokens": 3000,
        "stream": True,
        "system": "Be brief.",
        "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "summarized"},
        "tools": [{"name": "t", "input_schema": {}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }


@pytest.mark.parametrize(
    ("label", "value", "said"),
    [
        ("Max tokens", "0", "Max tokens is a number"),
        ("Max tokens", "99999999", "writes up to"),
        ("Thinking budget", "100", "from 1024 on, below max tokens"),
        ("Thinking budget", "8192", "from 1024 on, below max tokens"),
        ("Tools, as a JSON array", "{", "not JSON"),
        ("Tools, as a JSON array", "{}", "not a JSON array"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_sent(
    chat: Page, label: str, value: str, said: str
) -> None:
    asked = answering(chat, START, *END)
    chat.get_by_text("System prompt, thinking and tools").click()
    chat.get_by_label("Model", exact=True).select_option("claude-sonnet-4-6")
    chat.get_by_label("Thinking", exact=True).select_option("enabled")
    chat.get_by_label(label).fill(value)
    chat.get_by_label("Message", exact=True).fill("Hi")
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("alert")).to_contain_text(said)
    assert chat.get_by_label("Message", exact=True).input_value() == "Hi"
    assert asked == []


def test_thinking_is_folded(chat: Page) -> None:
    chat.get_by_text("System prompt, thinking and tools").click()
    chat.get_by_label("Model", exact=True).select_option("claude-sonnet-4-6")
    chat.get_by_label("Thinking", exact=True).select_option("enabled")
    answer = ask(chat, "Think about rivers")
    thinking = answer.locator("details.thinking")
    expect(thinking.locator(".plain")).to_be_hidden()
    thinking.get_by_text("Thinking", exact=True).click()
    expect(thinking.locator(".plain")).not_to_be_empty()
    # It is sent back with its signature, which the sandbox checks.
    expect(ask(chat, "And lakes?")).to_contain_text("And lakes?")


def test_thinking_that_the_model_does_not_do_cannot_be_chosen(chat: Page) -> None:
    chat.get_by_label("Model", exact=True).select_option("claude-opus-5-5")
    option = chat.locator("#f-thinking option[value=enabled]")
    expect(option).to_be_disabled()
    chat.get_by_label("Model", exact=True).select_option("claude-sonnet-4-6")
    expect(option).to_be_enabled()


def test_a_tool_is_shown_and_given_its_result(chat: Page) -> None:
    tool = {
        "name": "get_weather",
        "description": "The weather of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    chat.get_by_text("System prompt, thinking and tools").click()
    chat.get_by_label("Tools, as a JSON array").fill(json.dumps([tool]))
    answer = ask(chat, "What is the weather in Paris?")
    expect(answer.locator("details.tool summary")).to_have_text("Tool: get_weather")
    expect(answer).to_contain_text('"city"')
    answer.get_by_label("Result of get_weather").fill("Sunny, 21 degrees")
    answer.get_by_role("button", name="Send the results").click()
    expect(chat.locator("#chat-turns > .assistant")).to_have_count(2)
    expect(chat.locator("#chat-turns > .assistant").last).to_contain_text("Sunny, 21 degrees")


def test_server_tools_and_unknown_blocks_are_shown(chat: Page) -> None:
    result = [{"type": "web_search_result", "url": "https://example.org/a", "title": "A page"}]
    blocks: list[dict[str, Any]] = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "rivers"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": result},
        {"type": "something_new", "value": 7},
    ]
    given = [
        event
        for index, block in enumerate(blocks)
        for event in (
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_stop", "index": index},
        )
    ]
    asked = answering(chat, START, *given, *END)
    answer = ask(chat, "Look it up")
    expect(answer.locator("summary")).to_have_text(
        ["Tool: web_search", "Result of web search", "something_new"]
    )
    expect(answer.get_by_role("link", name="A page", include_hidden=True)).to_have_attribute(
        "href", "https://example.org/a"
    )
    ask(chat, "Go on")
    assert asked[1]["messages"][1]["content"] == blocks


PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Page>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def test_images_pdfs_and_texts_are_sent_as_blocks(chat: Page) -> None:
    asked = answering(chat, START, *text_events("Seen"), *END)
    files: list[FilePayload] = [
        {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL},
        {"name": "paper.pdf", "mimeType": "application/pdf", "buffer": PDF},
        {"name": "notes.md", "mimeType": "", "buffer": "Grüße".encode()},
    ]
    chat.locator("#chat-file").set_input_files(files)
    expect(chat.locator("#chat-files li")).to_have_count(3)
    ask(chat, "What is this?")
    content = asked[0]["messages"][0]["content"]
    assert [block["type"] for block in content] == ["image", "document", "document", "text"]
    assert content[0]["source"]["media_type"] == "image/png"
    assert content[1]["source"]["type"] == "base64"
    assert content[2]["source"] == {"type": "text", "media_type": "text/plain", "data": "Grüße"}
    user = chat.locator("#chat-turns > .user")
    expect(user.get_by_alt_text("dot.png")).to_be_visible()
    assert user.get_by_alt_text("dot.png").evaluate("image => image.naturalWidth") == 1


def drop(page: Page, *files: tuple[str, str, bytes | int]) -> None:
    """Drop files onto the page; in place of its bytes one may have a number of them."""
    given = [
        [name, kind, data if isinstance(data, int) else list(data)] for name, kind, data in files
    ]
    page.locator("#chat").evaluate(
        """(target, given) => {
          const dataTransfer = new DataTransfer();
          for (const [name, type, data] of given) {
            dataTransfer.items.add(new File([new Uint8Array(data)], name, {type}));
          }
          const options = {dataTransfer, bubbles: true, cancelable: true};
          target.dispatchEvent(new DragEvent("drop", options));
        }""",
        given,
    )


def test_a_dropped_image_reaches_the_model(chat: Page) -> None:
    drop(chat, ("dot.png", "image/png", PIXEL))
    expect(chat.locator("#chat-files li")).to_contain_text("dot.png")
    expect(ask(chat, "What is this?")).to_contain_text("1 by 1 pixels")


def test_what_cannot_be_sent_is_told_at_once(chat: Page) -> None:
    drop(
        chat,
        ("a.zip", "application/zip", b"PK"),
        ("big.png", "image/png", 21 * 2**20),
        ("big.pdf", "application/pdf", 25 * 2**20),
    )
    problem = chat.get_by_role("alert")
    expect(problem).to_contain_text("a.zip (1 KB) is not sent: only images")
    expect(problem).to_contain_text("big.png (21.0 MB) is not sent: images have up to 20.0 MB")
    expect(problem).to_contain_text("big.pdf (25.0 MB) is not sent: with it, 33.3 MB would be sent")
    expect(chat.locator("#chat-files")).to_be_hidden()


def test_what_is_too_much_with_earlier_messages_stays_where_it_was_written(
    browsing: Browsing, start_gateway: Callable[..., RunningGateway]
) -> None:
    gateway = start_gateway(f"[server]\nmax_body_bytes = 300000\n{QUIET}")
    page = opened(browsing.window(gateway), gateway)
    noise = PIXEL + bytes(120_000)
    drop(page, ("one.png", "image/png", noise))
    ask(page, "First")
    drop(page, ("two.png", "image/png", noise))
    page.get_by_label("Message", exact=True).fill("Second")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This would send 0.3 MB, earlier messages")
    expect(page.locator("#chat-files li")).to_contain_text("two.png")
    expect(page.get_by_label("Message", exact=True)).to_have_value("Second")
    expect(page.locator("#chat-turns > li")).to_have_count(2)
    page.get_by_role("button", name="New conversation").click()
    page.keyboard.press("Enter")
    expect(page.locator("#chat-turns > .assistant")).to_contain_text("Second")


def test_a_question_is_kept_while_its_answer_comes(chat: Page) -> None:
    chat.route(MESSAGES, lambda _: None)
    chat.get_by_label("Message", exact=True).fill("Not to be lost")
    chat.keyboard.press("Enter")
    expect(chat.get_by_text("Waiting for the answer…")).to_be_visible()
    chat.unroute(MESSAGES)
    chat.reload()
    chat.locator("#chat[data-ready]").wait_for()
    chat.locator("#chat-list button").first.click()
    chat.get_by_role("button", name="Retry").click()
    expect(chat.locator("#chat-turns > .assistant")).to_contain_text("“Not to be lost”")


def test_a_stopped_answer_is_kept_and_goes_on(
    browsing: Browsing, start_gateway: Callable[..., RunningGateway]
) -> None:
    gateway = start_gateway(QUIET)
    page = opened(browsing.window(gateway), gateway)
    page.route(
        MESSAGES,
        lambda route: route.continue_(
            headers={**route.request.headers, "x-sandbox-fault": "stall after=8"}
        ),
    )
    page.get_by_label("Message", exact=True).fill("Tell me a story")
    page.keyboard.press("Enter")
    answer = page.locator("#chat-turns > .assistant").last
    expect(answer.locator(".prose")).not_to_be_empty()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(answer.locator(".meta")).to_contain_text("stopped by you")
    said = answer.locator(".prose").inner_text()
    assert said
    # What was used until then is booked, and shown.
    expect(answer.locator(".meta")).to_contain_text("$0.0")
    page.unroute(MESSAGES)
    expect(ask(page, "Go on")).to_contain_text("Go on")


def test_a_message_is_edited_and_sent_again(chat: Page) -> None:
    ask(chat, "First words")
    ask(chat, "A second message")
    chat.locator("#chat-turns > .user").first.get_by_role("button", name="Edit").click()
    field = chat.locator("#chat-turns").get_by_label("Message")
    assert field.input_value() == "First words"
    field.fill("Other words")
    chat.get_by_role("button", name="Send again").click()
    expect(chat.locator("#chat-turns > li")).to_have_count(2)
    expect(chat.locator("#chat-turns > .assistant")).to_contain_text("“Other words”")


def test_editing_can_be_left(chat: Page) -> None:
    ask(chat, "First words")
    chat.get_by_role("button", name="Edit").click()
    chat.locator("#chat-turns").get_by_label("Message").fill("Other")
    chat.keyboard.press("Escape")
    expect(chat.locator("#chat-turns > .user")).to_contain_text("First words")
    expect(chat.locator("#chat-turns > li")).to_have_count(2)


def test_an_answer_is_asked_for_again(chat: Page) -> None:
    asked = answering(chat, START, *text_events("Yes"), *END)
    ask(chat, "Hi").get_by_role("button", name="Retry").click()
    expect(chat.locator("#chat-turns > li")).to_have_count(2)
    chat.locator(".assistant").get_by_role("button", name="Retry").wait_for()
    assert asked[0] == asked[1]


def test_conversations_stay_in_the_browser_until_the_sign_out(
    chat: Page, sandbox_gateway: RunningGateway
) -> None:
    ask(chat, "To be remembered")
    chat.reload()
    chat.locator("#chat[data-ready]").wait_for()
    names = chat.get_by_role("list", name="Conversations").get_by_role("button")
    expect(names.first).to_have_text("To be remembered")
    names.first.click()
    expect(chat.locator("#chat-turns > li")).to_have_count(2)
    chat.get_by_role("button", name="New conversation").click()
    expect(chat.locator("#chat-turns > li")).to_have_count(0)
    ask(chat, "Another one")
    expect(names).to_have_count(4)
    chat.get_by_role("button", name="Delete: Another one").click()
    expect(names).to_have_count(2)
    chat.goto("/console/overview")
    chat.locator("form[action='/console/sign-out'] button").first.evaluate("b => b.click()")
    chat.wait_for_url("**/console/sign-in*")
    assert chat.evaluate("indexedDB.databases().then(found => found.length)") == 0
    opened(chat, sandbox_gateway)
    expect(names).to_have_count(0)


def test_nobody_sees_the_conversations_of_whoever_was_signed_in_before(
    chat: Page, sandbox_gateway: RunningGateway
) -> None:
    ask(chat, "My secret")
    chat.context.clear_cookies()
    _, client = sandbox_gateway.make_key()
    opened(chat, sandbox_gateway, client.api_key)
    expect(chat.locator("#chat-list li")).to_have_count(0)
    chat.context.clear_cookies()
    opened(chat, sandbox_gateway)
    expect(chat.locator("#chat-list li")).to_have_count(0)


def test_only_models_that_one_may_use_are_offered(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    _, client = sandbox_gateway.make_key(models=["claude-haiku-5-5"])
    page = opened(browsing.window(sandbox_gateway), sandbox_gateway, client.api_key)
    values = page.locator("#f-model option").evaluate_all("found => found.map(one => one.value)")
    assert values == [model["id"] for model in client.call("GET", "/v1/models").json["data"]]
    assert len(values) == 1


def test_a_used_up_budget_says_when_it_resets(
    browsing: Browsing, start_gateway: Callable[..., RunningGateway]
) -> None:
    browsing.expected.append("status of 402")
    gateway = start_gateway(QUIET)
    gateway.client.call("POST", "/admin/v1/people", b'{"name": "Ada"}')
    limit = {"person": "Ada", "amount_units": 1, "period": "month"}
    gateway.client.call("POST", "/admin/v1/limits", json.dumps(limit).encode())
    _, client = gateway.make_key(person="Ada")
    page = opened(browsing.window(gateway), gateway, client.api_key)
    problem = ask(page, "Hi").locator(".problem")
    expect(problem).to_contain_text("monthly limit")
    expect(problem).to_contain_text(re.compile(r"resets at \d{4}-\d\d-01 00:00 UTC"))
    expect(problem).to_contain_text("Request req_")


def test_an_end_of_the_session_is_told_and_nothing_is_lost(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    browsing.expected.append("status of 401")
    page = opened(browsing.window(sandbox_gateway), sandbox_gateway)
    ask(page, "Before")
    page.context.clear_cookies()
    problem = ask(page, "After").locator(".problem")
    expect(problem).to_contain_text("You are not signed in")
    expect(problem.get_by_role("link")).to_have_attribute("href", "/console/sign-in")
    expect(page.locator("#chat-turns > .user").last).to_contain_text("After")


def test_an_error_within_the_stream_keeps_what_came(chat: Page) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    answering(chat, START, *text_events("The beginning"), error | {"request_id": "req_1"})
    answer = ask(chat, "Hi")
    expect(answer.locator(".prose")).to_have_text("The beginning")
    expect(answer.locator(".problem")).to_have_text("Overloaded Request req_1")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (events(START, *text_events("The beginning")), "broke off"),
        ("event: x\ndata: {broken\n\n", "cannot be read"),
        ("", "broke off"),
    ],
)
def test_an_answer_without_an_end_is_a_problem(chat: Page, body: str, said: str) -> None:
    answering(chat, body=body)
    expect(ask(chat, "Hi").locator(".problem")).to_contain_text(said)


def test_enter_sends_and_shift_enter_begins_a_line(chat: Page) -> None:
    asked = answering(chat, START, *text_events("Yes"), *END)
    field = chat.get_by_label("Message", exact=True)
    field.press_sequentially("One")
    chat.keyboard.press("Shift+Enter")
    field.press_sequentially("two")
    chat.keyboard.press("Enter")
    chat.locator(".assistant").get_by_role("button", name="Retry").wait_for()
    assert asked[0]["messages"][0]["content"] == [{"type": "text", "text": "One\ntwo"}]


HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">
[click](javascript:window.hacked=1) [data](data:text/html,x) ![i](https://elsewhere.example/i.png)
<a href="javascript:window.hacked=1">x</a> [ok](https://example.org/) <javascript:alert(1)>

| <b>a</b> | b |
|---|---|
| <svg onload="window.hacked = 1"> | `<i>` |

```html
</code></pre><script>window.hacked = 1</script>
```
"""


def test_nothing_that_a_model_says_becomes_html(chat: Page) -> None:
    block = {"type": "tool_use", "id": '"><script>', "name": "<img onerror=x>", "input": {"<b>": 1}}
    answering(
        chat,
        START | {"message": {"model": "<script>m</script>"}},
        *text_events(HOSTILE),
        {"type": "content_block_start", "index": 1, "content_block": block},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "<b>x</b>"}},
        {"type": "content_block_stop", "index": 2},
        *END,
    )
    answer = ask(chat, "<img src=x onerror=window.hacked=1>")
    chat.reload()
    chat.locator("#chat[data-ready]").wait_for()
    chat.locator("#chat-list button").first.click()
    answer = chat.locator("#chat-turns > .assistant")
    expect(answer).to_contain_text("<script>window.hacked = 1</script>")
    links = answer.get_by_role("link").evaluate_all(
        "found => found.map(one => [one.getAttribute('href'), one.rel, one.target])"
    )
    rel = "noopener noreferrer nofollow"
    assert links == [
        ["https://elsewhere.example/i.png", rel, "_blank"],
        ["https://example.org/", rel, "_blank"],
    ]
    assert (
        chat.locator("#chat-turns").evaluate(
            "turns => turns.querySelectorAll('script, img, svg, b, i, [onerror]').length"
        )
        == 0
    )
    assert chat.evaluate("window.hacked") is None


MARKDOWN = {
    "**bold** and *thin* `x*y*`": (
        "<p><strong>bold</strong> and <em>thin</em> <code>x*y*</code></p>"
    ),
    "***both***": "<p><strong><em>both</em></strong></p>",
    "snake_case_name and 2*3*4": "<p>snake_case_name and 2<em>3</em>4</p>",
    "a * b * c": "<p>a * b * c</p>",
    "~~gone~~ \\*kept\\*": "<p><del>gone</del> *kept*</p>",
    "one\ntwo\n\nthree": "<p>one\ntwo</p><p>three</p>",
    "- a\n- b\n  - c\n- d": "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>",
    "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
    "> quoted\n> more": "<blockquote><p>quoted\nmore</p></blockquote>",
    "---": "<hr>",
    "## Title ##": '<p><strong class="heading h2">Title</strong></p>',
    "``a`b``": "<p><code>a`b</code></p>",
    "**open": "<p>**open</p>",
    "": "",
}


def test_markdown_is_shown_as_what_it_means(chat: Page) -> None:
    assert {text: chat.evaluate(SHOWN, text) for text in MARKDOWN} == MARKDOWN


SHOWN = """text => {
  const made = document.createElement("div");
  made.append(...Markdown.nodes(text));
  return made.innerHTML;
}"""


def test_code_has_a_button_that_copies_it(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    window = browsing.window(sandbox_gateway, permissions=["clipboard-read", "clipboard-write"])
    page = opened(window, sandbox_gateway)
    answering(page, START, *text_events("Try:\n\n```python\nprint('<b>')\n```\n"), *END)
    answer = ask(page, "Code, please")
    expect(answer.get_by_role("region", name="Code: python")).to_have_text("print('<b>')")
    answer.locator(".code .copy").click()
    expect(answer.locator(".code .copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "print('<b>')"


TIMED = """text => {
  const began = performance.now();
  Markdown.nodes(text);
  return performance.now() - began;
}"""


def test_long_hostile_markdown_is_shown_in_time(chat: Page) -> None:
    texts = [
        "*a " * 5000,
        "[" * 20000,
        "`" * 20000,
        "_" * 20000,
        "> " * 5000,
        "- " * 5000,
        "|" * 20000 + "\n" + "-|" * 10000,
        "# " + " " * 50000 + "x",
        "https://" * 3000,
        "- a\n" * 5000,
        "![" * 9000,
        "**a **" * 5000,
        "~" * 20000,
        "\\" * 20000,
    ]
    for text in texts:
        took = chat.evaluate(
            TIMED,
            text,
        )
        assert took < 3000, (text[:10], took)


def test_without_scripts_a_sentence_says_that_they_are_needed(
    browsing: Browsing, sandbox_gateway: RunningGateway
) -> None:
    page = signed_in(browsing.window(sandbox_gateway, scripts=False), sandbox_gateway)
    page.goto("/console/chat")
    expect(page.get_by_text("The chat needs JavaScript")).to_be_visible()
    expect(page.locator("#chat")).to_be_hidden()


@needs_axe
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    browsing: Browsing, sandbox_gateway: RunningGateway, dark: bool, phone: bool, tmp_path: Path
) -> None:
    page = opened(browsing.window(sandbox_gateway, dark=dark, phone=phone), sandbox_gateway)
    wide = "x" * 300 + "\n\n```\n" + "y" * 300 + "\n```\n\n| " + "a | " * 30 + "\n|" + "-|" * 30
    block = {"type": "tool_use", "id": "t1", "name": "find", "input": {"q": "z" * 200}}
    answering(
        page,
        START,
        *text_events(wide + "\n\n- one\n- [two](https://example.org/)"),
        {"type": "content_block_start", "index": 1, "content_block": block},
        {"type": "content_block_stop", "index": 1},
        *END,
    )
    ask(page, "Hi")
    page.get_by_text("System prompt, thinking and tools").click()
    assert accessibility_problems(page) == []
    assert sideways(page) == []
