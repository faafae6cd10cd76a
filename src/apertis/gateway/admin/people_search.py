"""Search of people in memory, as somebody types."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Person, PersonStatus


class PersonFilter(NamedTuple):
    """The people that are asked for: all words of the text are in name, email or group.

    Without a status they are all but those who are removed.
    """

    text: str = ""
    status: PersonStatus | None = None
    group_ids: Collection[str] | None = None


class PeopleSearch:
    """Finds people by words, in the order of their names.

    What is known of all is put into texts and sorted once for each change of people and groups.
    """

    def __init__(self, organization: Callable[[], Organization]) -> None:
        self._organization = organization
        self._known: list[tuple[Person, str]] = []
        # Of which organization and generation they are.
        self._made_of: tuple[Organization, int] | None = None

    def find(self, asked: PersonFilter, sees: Callable[[Person], bool]) -> list[Person]:
        """Return the people that are asked for, of those that are seen."""
        organization = self._organization()
        if self._made_of != (organization, organization.generation):
            texts = ((one, _text_of(one, organization)) for one in organization.people.values())
            self._known = sorted(texts, key=lambda known: known[1])
            self._made_of = organization, organization.generation
        words = asked.text.casefold().split()
        return [
            person
            for person, text in self._known
            if (person.status == asked.status if asked.status else person.status != "removed")
            and (asked.group_ids is None or person.group_id in asked.group_ids)
            and all(word in text for word in words)
            and sees(person)
        ]


def _text_of(person: Person, organization: Organization) -> str:
    group = organization.groups.get(person.group_id or "")
    known = (person.name, person.email or "", "" if group is None else group.name)
    # No word has a line end in it, so none is found across two of these; and the name is first.
    return "\n".join(known).casefold()
