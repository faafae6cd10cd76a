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


class _Known(NamedTuple):
    record: KeyRecord
    generation: int
    text: str


class KeySearch:
    """Finds keys by words. What is known of each is put into one text, once for each change."""

    def __init__(self, directory: Directory, organization: Callable[[], Organization]) -> None:
        self._directory = directory
        self._organization = organization
        self._known: dict[str, _Known] = {}
        self.texts_made = 0

    def find(self, asked: KeyFilter, sees: Callable[[KeyRecord], bool], now: float) -> list[Key]:
        """Return the keys that are asked for, of those that are seen."""
        organization = self._organization()
        words = asked.text.casefold().split()
        found = [
            key
            for key in self._directory.all()
            if _is_wanted(key.record, asked, organization, now)
            and (not words or self._has(words, key.record, organization))
            and sees(key.record)
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

    def _has(self, words: list[str], record: KeyRecord, organization: Organization) -> bool:
        known = self._known.get(record.id)
        generation = organization.generation
        if known is None or known.record is not record or known.generation != generation:
            self.texts_made += 1
            known = _Known(record, generation, _text_of(record, organization))
            self._known[record.id] = known
        text = known.text
        return all(word in text for word in words)


def _nearness(name: str, text: str) -> int:
    return 0 if name == text else 1 if name.startswith(text) else 2


def key_status(record: KeyRecord, now: float) -> KeyStatus:
    """Return how a key is: an expired one is `expired`, though enabled."""
    expired = record.expires_at is not None and record.expires_at <= now
    return "expired" if expired and record.status == "enabled" else record.status


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
