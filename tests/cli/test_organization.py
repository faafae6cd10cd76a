"""Groups, people and limits through a running gateway, as the commands reach it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from apertis.cli.organization import all_people, fields_of
from apertis.gateway.admin.people import PersonPage, PersonView
from tests.cli.test_administration import Command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kit.processes import Served


def test_all_is_done_through_a_gateway_as_beside_it(
    serve_process: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve_process()
    command = Command(tmp_path, **served.environment)

    def json_of(*arguments: str) -> Any:
        out, err = command(*arguments, "--json")
        assert err[0] == f"apertis: the gateway {served.base_url}"
        return json.loads(out)

    group = json_of("groups", "create", "a/b")
    assert json_of("people", "create", "Ann", "--group", "a/b")["group_id"] == group["id"]
    json_of("keys", "create", "--name", "ci", "--person", "Ann")
    limit = json_of("limits", "create", "--group", "a/b", "--usd", "0.5")
    assert limit["amount_units"] == 250_000
    assert json_of("limits", "update", limit["id"], "--usd", "1.5")["amount_usd"] == "1.5"
    assert json_of("people", "disable", "Ann", "--yes")["status"] == "disabled"
    assert json_of("people", "remove", "Ann", "--yes")["status"] == "removed"
    assert json_of("limits", "remove", limit["id"], "--yes")["status"] == "removed"
    assert json_of("groups", "remove", group["id"], "--yes")["status"] == "removed"
    told = json_of("audit")["data"][0]
    assert re.fullmatch(r"key_\w{20}", told["actor"])
    assert (told["action"], told["subject_id"]) == ("remove", group["id"])
    _, err = command("groups", "create", "x", "--parent", "y", code=2)
    assert err[-1] == "apertis: --parent: There is no group 'y'"
    # Only the environment names the gateway.
    json_of("people", "create", "Bob")
    _, err = command("people", "disable", "Bob", code=2)
    assert "add --yes" in err[-1]


def test_all_pages_of_a_list_are_read() -> None:
    def person(number: int) -> PersonView:
        fields = dict.fromkeys(PersonView.__struct_fields__)
        given: dict[str, Any] = {**fields, "id": f"person_{number}"}
        return PersonView(**given)

    class Pages:
        def __init__(self) -> None:
            self.asked: list[object] = []

        def ask(self, _: str, path: str, page: type[PersonPage], *, query: Any) -> PersonPage:
            assert path == "/admin/v1/people"
            self.asked.append(query.get("after_id"))
            number = len(self.asked)
            return page(
                data=(person(number),),
                has_more=number < 3,
                first_id=f"person_{number}",
                last_id=f"person_{number}",
            )

    pages = Pages()
    found = all_people(pages)  # type: ignore[arg-type]
    assert [one.id for one in found] == ["person_1", "person_2", "person_3"]
    assert pages.asked == [None, "person_1", "person_2"]


def test_the_word_none_takes_away_and_a_name_may_be_that_word() -> None:
    from apertis.gateway.admin.people import PersonFields

    fields = fields_of(PersonFields, {"name": "none", "email": "none", "role": None}, {})
    assert (fields.name, fields.email) == ("none", None)
