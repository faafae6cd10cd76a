"""Every fence of the documentation is of a kind that a test looks after, or says why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apertis.gateway.config import read_settings
from tests.kit.webhooks import SECRET

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if not path.is_relative_to(ROOT / "docs" / "reference")
)
FENCE = re.compile(r"^```(\w*)[ ]?(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
LANGUAGES = {"python", "console", "sh", "text", "json", "toml", "ini"}
# What the shell does beside the examples: nothing that a test should do, or could see the end of.
SHELL_ONLY = re.compile(
    r"(pip|uv|make|git|export|source|python3?|claude|curl|systemctl|apertis (serve|config)|"
    # An engine for containers is not there; what comes before it, tests of containers run.
    r"docker|mkdir|printf|chmod)\b"
)

CONFIGURATIONS = [
    text
    for page in PAGES
    # The reference's own is held by the tests of the settings.
    if page.name != "configuration.md"
    for language, _, text in FENCE.findall(page.read_text(encoding="utf-8"))
    if language == "toml"
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_fence_is_of_a_kind_that_is_looked_after(page: Path) -> None:
    source = page.read_text(encoding="utf-8")
    found = FENCE.findall(source)
    assert len(re.findall("^ *```", source, re.MULTILINE)) == 2 * len(found)
    for language, info, text in found:
        assert language in LANGUAGES, text
        allowed = r'|title="Not run: .+"|title="Output"' if language != "sh" else ""
        assert re.fullmatch(allowed, info), text
        if language == "sh":
            lines = [line for line in text.splitlines() if line and line[0] not in "# "]
            assert all(SHELL_ONLY.match(line) for line in lines), text
        if language == "console":
            assert text.startswith("$ "), text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_installs_another_distribution_by_this_name(page: Path) -> None:
    """An index has the vendor's under it: what is installed is a path or a file of this one."""
    commands = re.findall(
        r"\b(?:pip|uv tool|uv pip|uv|pipx) (?:install|add)\b[^`\n#]*", page.read_text()
    )
    wrong = [each for each in commands if re.search(r"""["' ]apertis\b(?!.*@ )""", each)]
    assert wrong == []


def test_few_fences_are_left_out() -> None:
    sources = [page.read_text(encoding="utf-8") for page in PAGES]
    left_out = [info for source in sources for _, info, _ in FENCE.findall(source) if "Not" in info]
    assert 0 < len(left_out) <= 12


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_configuration_is_one_that_the_gateway_takes(text: str, tmp_path: Path) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text(text, encoding="utf-8")
    for name in re.findall(r'"(\w+\.(?:pem|key))"', text):
        (tmp_path / name).write_text("of nobody", encoding="utf-8")
    variables = re.findall(r'api_key_env = "(\w+)"', text)
    environment = dict.fromkeys(variables, "sk-ant-of-nobody")
    environment |= {"WEBHOOK_SECRET": SECRET, "SLACK_URL": "slack://T1/A1/of-nobody"}
    environment["OIDC_CLIENT_SECRET"] = "of-nobody"
    environment |= {"VALKEY_URL": "valkey://:of-nobody@cache.example.com:6379/0"}
    read_settings(environment, config=file)


def test_there_are_configurations() -> None:
    assert len(CONFIGURATIONS) > 5
