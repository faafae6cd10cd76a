from __future__ import annotations

import msgspec
import pytest

from apertis.gateway.keys.record import SETTINGS, KeyRecord
from apertis.gateway.store.schema import keys
from tests.kit.changing import run_changed


def test_a_record_without_settings_limits_nothing() -> None:
    record = KeyRecord(id="key_1", name="plain", sha256="00", hint="sk-...0000", created_at=1)
    assert record.status == "enabled"
    assert not record.admin
    assert (record.quota_units, record.models, record.addresses, record.expires_at) == (None,) * 4


def test_a_record_is_never_changed_in_place() -> None:
    record = KeyRecord(id="key_1", name="plain", sha256="00", hint="sk-...0000", created_at=1)
    with pytest.raises(AttributeError):
        record.name = "other"  # type: ignore[misc]


def test_a_record_survives_the_way_through_json() -> None:
    record = KeyRecord(
        id="key_1", name="n", sha256="00", hint="h", created_at=1, models=("a", "b*"), tags=("t",)
    )
    assert msgspec.json.decode(msgspec.json.encode(record), type=KeyRecord) == record


def test_each_setting_has_a_column_in_the_store() -> None:
    kept = set(KeyRecord.__struct_fields__) - {"used_units"}
    assert kept == {column.name for column in keys.columns}
    assert set(SETTINGS) < kept


SETTING = """
    color: Annotated[
        str | None,
        Setting(
            rules.label, Meta(description="A color."), view="null: none.", option="--color",
            metavar="COLOR", help="Its color; or 'none'.", words={"none": None}, title="Color",
            shown={None: "none"},
        ),
    ] = None
    response_cache: Annotated["""

SCRIPT = """
import msgspec
import apertis.cli.keys as commands
from apertis.cli.key_options import OPTION_OF, fields_of
from apertis.cli.key_tables import key_sheet
from apertis.gateway.admin.key_fields import changes_of, read_fields
from apertis.gateway.admin.views import key_view
from apertis.gateway.admin.openapi import document
from apertis.gateway.keys.record import KeyRecord, problems_of

shapes = document()["components"]["schemas"]
print([name for name in shapes if "color" in shapes[name].get("properties", ())])
print(OPTION_OF["color"], [p.help for p in commands.create.params if p.name == "color"])
print(changes_of(read_fields(b'{"color": "red"}')), changes_of(fields_of({"color": "none"})))
made = KeyRecord(id="k", name="n", sha256="", hint="h", created_at=1, color=" ")
print(*problems_of(made))
shown = key_view(msgspec.structs.replace(made, color="red"))
print(msgspec.to_builtins(shown)["color"])
key_sheet(shown)
"""


def test_a_setting_that_is_defined_is_set_shown_described_and_checked_everywhere() -> None:
    changes = {"apertis.gateway.keys.record": [("\n    response_cache: Annotated[", SETTING)]}
    places, option, given, problem, shown, *sheet = run_changed(changes, SCRIPT)
    assert places == "['KeyFields', 'KeyView', 'NewKeyFields']"
    assert option == """--color ["Its color; or 'none'."]"""
    assert given == "{'color': 'red'} {'color': None}"
    assert problem.startswith("'color' is ' ': expected 1 to 200 printable characters")
    assert shown == "red"
    assert ["Color", "red"] in [line.split() for line in sheet]
