from __future__ import annotations

from pathlib import Path

from apertis.gateway.config import Settings, StoreSettings, UpstreamSettings
from apertis.gateway.config.settings import UPSTREAM_KINDS, SandboxSettings
from apertis.gateway.upstreams.registry import BUILDERS, build_upstreams
from tests.kit.changing import run_changed


def test_each_kind_of_the_settings_has_its_class() -> None:
    assert set(BUILDERS) == set(UPSTREAM_KINDS)


def test_an_upstream_whose_settings_did_not_change_goes_on() -> None:
    here, there = UpstreamSettings("here", "sandbox"), UpstreamSettings("there", "sandbox")
    before = Settings(StoreSettings(Path()), upstreams=(here, there))
    running = build_upstreams(before)
    changed = UpstreamSettings("there", "sandbox", weight=2)
    after = Settings(StoreSettings(Path()), upstreams=(here, changed))
    again = build_upstreams(after, running, before)
    assert list(again) == ["here", "there"]
    assert again["here"] is running["here"]
    assert again["there"] is not running["there"]
    slower = Settings(
        StoreSettings(Path()),
        sandbox=SandboxSettings(first_token_seconds=1.0),
        upstreams=(here, there),
    )
    assert build_upstreams(slower, running, before)["here"] is not running["here"]


# A kind of upstream has two places: a line of the settings with what it takes, and a line of the
# registry with its class.
CLASS = """
class Parrot:
    def __init__(self, own):
        self.name = own.name

    @classmethod
    def of(cls, own, settings):
        return cls(own)

    async def models(self):
        import msgspec
        return {"parrot-1": {"id": msgspec.Raw(b'"parrot-1"')}}

    async def model(self, name):
        return None

    async def check(self, own, connect_seconds, clock):
        from apertis.gateway.finding import ok
        return ok(f"upstream {own.name}", "it repeats")

    async def close(self):
        pass


BUILDERS: dict["""

CHANGES = {
    "apertis.gateway.config.settings": [
        (
            '        "sandbox": UpstreamKind(',
            '        "parrot": UpstreamKind(told="a parrot."),\n        "sandbox": UpstreamKind(',
        )
    ],
    "apertis.gateway.upstreams.registry": [
        ("BUILDERS: dict[", CLASS),
        (
            '    "sandbox": SandboxUpstream.of,',
            '    "sandbox": SandboxUpstream.of, "parrot": Parrot.of,',
        ),
    ],
}

SCRIPT = """
import asyncio, sys
from pathlib import Path
from apertis.gateway.catalogue.catalogue import Catalogue
from apertis.gateway.config.read import read
from apertis.gateway.config.render import render
from apertis.gateway.doctor.diagnosis import upstream_findings
from apertis.gateway.upstreams.registry import build_upstreams
from apertis.cli.serve import _upstream_line

file = Path(sys.argv[1])
file.write_text("[[upstreams]]\\nname = 'polly'\\nkind = 'parrot'\\n")
settings = read({}, file)
(own,) = settings.upstreams
upstreams = build_upstreams(settings)
print(type(upstreams["polly"]).__name__, own.base_url)
print(_upstream_line(own))
print([line for line in render(settings).splitlines() if line.startswith(("kind", "auth"))])
print([found.message for found in asyncio.run(upstream_findings(settings))])
catalogue = Catalogue(settings.upstreams, upstreams)
print(b"parrot-1" in asyncio.run(catalogue.list("", lambda name: True, 0.0)))
file.write_text("[[upstreams]]\\nname = 'polly'\\nkind = 'parrot'\\nauth = 'bearer'\\n")
try:
    read({}, file)
except Exception as error:
    print("which is built in" in str(error), "parrot" in str(error))
"""


def test_a_kind_that_has_its_two_places_is_built_asked_and_told(tmp_path: Path) -> None:
    assert run_changed(CHANGES, SCRIPT, str(tmp_path / "a.toml")) == [
        "Parrot None",
        "Upstream: a parrot.",
        "['kind = \"parrot\"']",
        "['it repeats']",
        "True",
        "True True",
    ]
