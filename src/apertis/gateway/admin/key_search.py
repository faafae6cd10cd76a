"""Search of keys in memory, as somebody types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from apertis.gateway.keys.directory import Directory, Key
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Organization

KeyStatus = Literal["living", "enabled", "disabled", "expired", "deleted", "all"]
STATUSES: Final[tuple[KeyStatus, ...]] = get_args(KeyStatus)
KeyOrder = Literal["newest", "name", "used"]
ORDERS: Final[tuple[KeyOrder, ...]] = get_args(KeyOrder)


class KeyFilter(NamedTuple):
    """The keys that are asked for: all words of the text are in what is known of each."""

    text: str = ""
    # `living` are all but deleted ones.
    status: KeyStatus = "living"
    person_id: str | None = None
    group_ids: Collection[str] | None = None
    tag: str | None = None
    order: KeyOrder = "newest"


class KeySearch:
    """Finds keys by words. What is known of each is put into one text, once for each change."""

    def __init__(self, directory: Directory, organization: Callable[[], Organization]) -> None:
        self._directory = directory
        self._organization = organization
        # By key: its record, and the text that was made of it.
        self._texts: dict[Key, tuple[KeyRecord, str]] = {}
        # What the texts were made of: versions of keys, and of people and groups.
        self._made_of: tuple[Organization, int, int, int] | None = None
        self.texts_made = 0

    def find(self, asked: KeyFilter, sees: Callable[[KeyRecord], bool], now: float) -> list[Key]:
        """Return the keys that are asked for, of those that are seen."""
        organization = self._organization()
        words = asked.text.casefold().split()
        keys = self._with(words, organization) if words else self._directory.all()
        found = [
            key
            for key in keys
            if _is_wanted(key.record, asked, organization, now) and sees(key.record)
        ]
        if asked.order == "name":
            found.sort(key=lambda key: key.record.name.casefold())
        elif asked.order == "used":
            found.sort(key=lambda key: -key.used_units)
        else:
            found.reverse()
        if words:
            # What is called so comes before what only has it somewhere.
            text = " ".join(words)
            found.sort(key=lambda key: _nearness(key.record.name.casefold(), text))
        return found

    def _with(self, words: list[str], organization: Organization) -> list[Key]:
        self._make_texts(organization)
        first, *others = sorted(words, key=len, reverse=True)
        return [
            key
            for key, (_, text) in self._texts.items()
            if first in text and all(word in text for word in others)
        ]

    def _make_texts(self, organization: Organization) -> None:
        directory, generation = self._directory, organization.generation
        made_of = organization, generation, directory.version, len(directory)
        before = self._made_of
        if made_of == before:
            return
        if before is None or before[:2] != made_of[:2]:
            self._texts.clear()
        for key in directory.all():
            record = key.record
            known = self._texts.get(key)
            if known is None or known[0] is not record:
                self.texts_made += 1
                self._texts[key] = record, _text_of(record, organization)
        self._made_of = made_of


def key_status(record: KeyRecord, now: float) -> KeyStatus:
    """Return how a key is: an expired one is `expired`, though enabled."""
    expired = record.expires_at is not None and record.expires_at <= now
    return "expired" if expired and record.status == "enabled" else record.status


def _nearness(name: str, text: str) -> int:
    return 0 if name == text else 1 if name.startswith(text) else 2


def _is_wanted(record: KeyRecord, asked: KeyFilter, organization: Organization, now: float) -> bool:
    if asked.status == "living":
        if record.status == "deleted":
            return False
    elif asked.status not in ("all", key_status(record, now)):
        return False
    if asked.person_id is not None and record.person_id != asked.person_id:
        return False
    if asked.tag is not None and asked.tag not in record.tags:
        return False
    if asked.group_ids is None:
        return True
    person = organization.person_of(record)
    of_person = None if person is None else person.group_id
    return record.group_id in asked.group_ids or of_person in asked.group_ids


def _text_of(record: KeyRecord, organization: Organization) -> str:
    person = organization.person_of(record)
    groups = organization.groups_of(record, person)
    known = (
        record.name,
        record.id,
        record.hint,
        record.owner,
        *record.tags,
        *(() if person is None else (person.name, person.email)),
        *(group.name for group in groups),
    )
    # No word has a line end in it, so none is found across two of these.
    return "\n".join(part for part in known if part).casefold()
