"""Take the pictures of the console in `docs/gateway/pictures`.

    make pictures

They are of a gateway on this machine, of a company that is made up, in front of the sandbox. Names
and amounts are the same each time; the days are those before today.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.kit.browsers import ARGUMENTS, CHROMIUM, NO_CHROMIUM
from tests.kit.companies import ACME, furnish, secret_of
from tests.kit.crawling import LISTED, sign_in
from tests.kit.gateways import running_gateway
from tests.kit.http import Client, question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.kit.gateways import RunningGateway

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "gateway" / "pictures"
ALSO_DARK = ("overview", "budgets")
WIDTH, HEIGHT = 1280, 860
MAX_HEIGHT = 1100
_COLORS = 255
_ADA, _COLLEAGUE = 0, 5
# A typeface that most machines resemble, where it is installed (in Debian: fonts-inter).
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include>/etc/fonts/fonts.conf</include>
<match target="pattern"><test name="family"><string>system-ui</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
</fontconfig>"""
_CONFIG = """
[limits]
per_address = "0"

[sandbox]
first_token_seconds = 0.2

[alerts]
key_days = [7, 1]

[[upstreams]]
name = "anthropic"
kind = "sandbox"

[[upstreams]]
name = "anthropic-eu"
kind = "sandbox"
priority = 1
"""


def main() -> int:
    """Take them all, in place of those that were there."""
    if CHROMIUM is None:
        print(NO_CHROMIUM, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as own, contextlib.ExitStack() as stack:
        # Pages name it: it is the same each time.
        folder = Path(tempfile.gettempdir()) / "acme"
        data = folder / "data"
        data.mkdir(parents=True)
        stack.callback(shutil.rmtree, folder)
        furnish(data, ACME, int(time.time()))
        fonts = Path(own) / "fonts.conf"
        fonts.write_text(_FONTS)
        with running_gateway(folder, _CONFIG) as gateway, sync_playwright() as playwright:
            _use(gateway)
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=ARGUMENTS,
                env={**os.environ, "FONTCONFIG_FILE": str(fonts)},
            )
            taken = dict(_pictures(browser, gateway))
            browser.close()
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    for name, picture in taken.items():
        (PICTURES / f"{name}.png").write_bytes(picture)
    return 0


def _use(gateway: RunningGateway) -> None:
    """Let a few colleagues work, so that the gateway has seen requests since its start."""
    for number, model in enumerate([*ACME.models] * 4):
        client = Client(gateway.client.port, secret_of(number % 9))
        headers = {
            **client.headers,
            "x-claude-code-session-id": ACME.sessions[number % 3],
            "x-claude-code-request-class": "main",
        }
        words = "Read the whole of it, and say what is missing. " * (400 + number * 1733 % 5600)
        messages = [{"role": "user", "content": words}]
        client.call(
            "POST", "/v1/messages", question(model, messages=messages, stream=True), headers
        )


def _pictures(browser: Browser, gateway: RunningGateway) -> Iterator[tuple[str, bytes]]:
    administrator = _window(browser, gateway, gateway.admin_key)
    for name in LISTED:
        page = administrator
        if name == "me":
            page = _window(browser, gateway, secret_of(_COLLEAGUE))
        page.goto(f"/console/{name}")
        if name == "chat":
            _talk(page)
        elif name == "doctor":
            page.get_by_role("button", name="Look now").click()
            page.locator("main table, main dl, main ul").first.wait_for()
        yield name, _shot(page)
        if name in ALSO_DARK:
            page.emulate_media(color_scheme="dark")
            page.reload()
            yield f"{name}-dark", _shot(page)
            page.emulate_media(color_scheme="light")
    page = browser.new_page(base_url=gateway.base_url, viewport={"width": 640, "height": 480})
    page.goto("/console/sign-in")
    yield "sign-in", _shot(page)


def _window(browser: Browser, gateway: RunningGateway, key: str) -> Page:
    context = browser.new_context(
        base_url=gateway.base_url,
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme="light",
        timezone_id="Europe/Berlin",
        locale="en-US",
        reduced_motion="reduce",
    )
    name, _, value = sign_in(gateway, key).partition("=")
    context.add_cookies(
        [
            {"name": name, "value": value, "url": gateway.base_url},
            {"name": "apertis_zone", "value": "Europe/Berlin", "url": gateway.base_url},
        ]
    )
    return context.new_page()


def _talk(page: Page) -> None:
    """Ask something in the chat."""
    page.get_by_label("Message", exact=True).fill("Why is the sky blue?")
    page.get_by_role("button", name="Send", exact=True).click()
    page.locator("#chat-turns").get_by_text("$").first.wait_for()


def _shot(page: Page) -> bytes:
    page.wait_for_load_state("networkidle")
    width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    # So that what keeps to the window's edges is as high as the picture.
    page.set_viewport_size({"width": width, "height": min(height, MAX_HEIGHT)})
    taken = page.screenshot(animations="disabled", caret="hide")
    page.set_viewport_size({"width": width, "height": HEIGHT})
    made = io.BytesIO()
    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    picture.quantize(_COLORS, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()


if __name__ == "__main__":
    sys.exit(main())
