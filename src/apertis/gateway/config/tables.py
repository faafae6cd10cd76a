"""The tables of upstreams, with their models and keys."""

from __future__ import annotations

import re
from collections import Counter
from decimal import ROUND_UP, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from apertis.accounting.prices import OF_INPUT
from apertis.gateway.config.kinds import MONEY_STEP, UnfitError, location
from apertis.gateway.config.origin import Named, Origin, RawSetting
from apertis.gateway.config.settings import (
    ANTHROPIC_URL,
    UPSTREAM_KINDS,
    ModelSettings,
    PriceSettings,
    Secret,
    UpstreamSettings,
    kinds_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.config.origin import Reader

KEY_SETTINGS = ("api_key_env", "api_key_file")
_KEY = re.compile(r"[!-~]+")
# A scheme, and then the credential.
_HEADER = re.compile(r"[!-~]+( [!-~]+)*")


def read_upstreams(
    given: RawSetting, reader: Reader
) -> tuple[tuple[UpstreamSettings, Origin], ...]:
    """Return the upstreams, each with the place of its table; those that cannot be are left out."""
    return reader.named(given, lambda element: _upstream(element, reader))


def _upstream(given: RawSetting, reader: Reader) -> UpstreamSettings | None:
    kinds = kinds_of(UpstreamSettings)
    if "api_key" in (given.table or {}):
        reader.problem(
            given / "api_key",
            "is rejected: a credential does not belong in the configuration. Put it into an "
            "environment variable named by api_key_env, or into a file named by api_key_file",
        )
    fields = reader.table(given, (*kinds, *KEY_SETTINGS, "models", "api_key"))
    if fields is None:
        return None
    values: dict[str, Any] = {"name": ""}
    values |= reader.values(fields, kinds)
    if "name" not in fields:
        reader.problem(given.place, "needs a name")
    values["api_key"] = credential(given, fields, reader)
    if "models" in fields:
        values["models"] = _models(fields["models"], reader)
    kind = values.get("kind", "anthropic")
    url = UPSTREAM_KINDS[kind].url
    if url is None:
        _check_built_in(kind, fields, reader)
    elif "base_url" not in fields:
        if not fields.keys() & {"api_key", *KEY_SETTINGS}:
            reader.problem(given.place, f"needs api_key_env or api_key_file for {url}")
        values["base_url"] = url
    return UpstreamSettings(**values)


def _check_built_in(kind: str, fields: dict[str, RawSetting], reader: Reader) -> None:
    for name in ("base_url", "auth", *KEY_SETTINGS):
        if name in fields:
            reader.problem(fields[name].place, f"has no meaning for the {kind}, which is built in")


def credential(
    given: RawSetting,
    fields: Mapping[str, RawSetting],
    reader: Reader,
    *,
    of: str = "api_key",
    noun: str = "key",
) -> Secret | None:
    """Read what stands in a variable (`<of>_env`) or a file (`<of>_file`), never in the settings.

    None, with a problem kept where there is one, if there is none.
    """
    of_variable, of_file = f"{of}_env", f"{of}_file"
    named = [name for name in (of_variable, of_file) if name in fields]
    if len(named) > 1:
        reader.problem(given.place, f"has {of_variable} and {of_file}: one of them is enough")
        return None
    if not named:
        return None
    field = fields[named[0]]
    value = field.value
    if not isinstance(value, str) or not value.strip():
        what = "a variable" if of_variable in fields else "a file"
        reader.problem(field.place, f"must be the name of {what} that has the {noun}")
        return None
    read = _of_variable if of_variable in fields else _of_file
    found = read(field, value, noun, reader)
    return None if found is None else Secret(found[0], setting=named[0], source=found[1])


def _of_variable(given: RawSetting, name: str, noun: str, reader: Reader) -> tuple[str, str] | None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        # What stands here in place of a name may be the credential itself.
        reader.problem(given.place, "must be the name of a variable of the environment")
        return None
    text = reader.environment.get(name, "").strip()
    if not text:
        reader.problem(given.place, f"names {name}, which is not set in the environment")
        return None
    flaw = _flaw(text, noun)
    if flaw is not None:
        reader.problem(given.place, f"names {name}, which {flaw}")
        return None
    return text, name


def _of_file(given: RawSetting, name: str, noun: str, reader: Reader) -> tuple[str, str] | None:
    try:
        path = location().read(name, given.place.source.base)
    except UnfitError as error:
        reader.problem(given.place, str(error) or "must be the path of a file")
        return None
    try:
        text = path.read_text(encoding="latin-1").strip()
    except OSError as error:
        reader.problem(given.place, f"names {path}, which cannot be read: {error.strerror}")
        return None
    flaw = _flaw(text, noun)
    if flaw is not None:
        reader.problem(given.place, f"names {path}, which {flaw}")
        return None
    return text, str(path.absolute())


def _flaw(text: str, noun: str = "key") -> str | None:
    """Return the reason that a text cannot be sent as a credential; nothing of it is shown."""
    if not text:
        return "is empty"
    if noun == "header" and _HEADER.fullmatch(text):
        return None
    if not _KEY.fullmatch(text):
        return f"has no {noun} in it: there are spaces, several lines or characters beyond ASCII"
    return None


def _models(given: RawSetting, reader: Reader) -> tuple[ModelSettings, ...]:
    found: list[ModelSettings] = []
    names: Counter[str] = Counter()
    for element in reader.array(given):
        model = _model(element, reader)
        if model is None:
            continue
        for name in (model.id, *model.aliases):
            names[name] += 1
            if names[name] == 2:
                reader.problem(element.place, f"has the name {name!r}, which is used twice")
        found.append(model)
    return tuple(found)


def _model(given: RawSetting, reader: Reader) -> ModelSettings | None:
    kinds = kinds_of(ModelSettings)
    if isinstance(given.value, str):
        name = reader.value(given, kinds["id"])
        return None if name is None else ModelSettings(name)
    fields = reader.table(given, kinds)
    if fields is None:
        return None
    values = reader.values(fields, kinds)
    if "id" not in fields:
        reader.problem(given.place, "needs an id")
    return ModelSettings(**values) if "id" in values else None


def found_upstream(reader: Reader) -> tuple[UpstreamSettings, str]:
    """Return the upstream of a gateway that has none configured, and what it was found by.

    Anthropic, with the key of the variables that its SDK reads; without one the sandbox.
    """
    for variable, auth in (("ANTHROPIC_API_KEY", "x-api-key"), ("ANTHROPIC_AUTH_TOKEN", "bearer")):
        text = reader.environment.get(variable, "").strip()
        if not text:
            continue
        flaw = _flaw(text)
        if flaw is not None:
            reader.complain(f"{variable} {flaw}")
        kind = kinds_of(UpstreamSettings)["base_url"]
        url = reader.environment.get("ANTHROPIC_BASE_URL", "").strip() or ANTHROPIC_URL
        named = Origin(Named("ANTHROPIC_BASE_URL", ()), ())
        base_url = reader.value(RawSetting(url, named), kind)
        key = Secret(text, setting="api_key_env", source=variable)
        values: dict[str, Any] = {"base_url": base_url, "api_key": key, "auth": auth}
        return UpstreamSettings("anthropic", "anthropic", **values), variable
    return UpstreamSettings("sandbox", "sandbox"), "default"


def read_prices(given: RawSetting, reader: Reader) -> Mapping[str, PriceSettings]:
    """Return the price of each model; those that cannot be are left out."""
    tables = reader.table(given, (given.table or {}).keys()) or {}
    found = {model: _price(table, reader) for model, table in tables.items()}
    return MappingProxyType({model: price for model, price in found.items() if price is not None})


def _price(given: RawSetting, reader: Reader) -> PriceSettings | None:
    kinds = kinds_of(PriceSettings)
    fields = reader.table(given, kinds)
    if fields is None:
        return None
    missing = [name for name in ("input", "output") if name not in fields]
    if missing:
        reader.problem(given.place, f"needs {' and '.join(missing)}")
    values = reader.values(fields, kinds)
    if not {"input", "output"} <= values.keys():
        return None
    for name, part in OF_INPUT.items():
        values.setdefault(name, _stepped(values["input"] * part))
    return PriceSettings(**values)


def _stepped(amount: Decimal) -> Decimal:
    return (amount / MONEY_STEP).to_integral_value(ROUND_UP) * MONEY_STEP
