"""The environment of tests: without the settings of the machine that they run on."""

from __future__ import annotations

import os

import pytest

# Before anything is imported that reads them: no test may reach a service that is paid for.
for _name in [name for name in os.environ if name.startswith(("APERTIS_", "ANTHROPIC_"))]:
    del os.environ[_name]

# As it is for what a test starts that needs the network of the machine.
MACHINE = dict(os.environ)

_SETTINGS = ("APERTIS_", "ANTHROPIC_", "XDG_")
_PROXIES = {f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL", "NO")}
SET_HERE = [
    name
    for name in MACHINE
    if name.startswith(_SETTINGS) or name.upper() in _PROXIES or name == "SSL_CERT_FILE"
]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment for a program that is to find no settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return kept | more


@pytest.fixture(autouse=bool(SET_HERE))
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SET_HERE:
        monkeypatch.delenv(name, raising=False)
