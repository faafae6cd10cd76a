"""The words of a prompt, sorted into what a tool's input could need."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text that holds nothing but words."""
    return frozenset(text.split())


_COMMON = word_set(
    """a about after all an and any are as at be been before but by can could did do does for from
    get give had has have hello hey hi how i if in into is it its let like me my no not of off on or
    our please she should so some tell than thank thanks that the their them then there these they
    this those to today tomorrow tonight too up us use using want was we were what what's whats when
    where which who why will with would yes you your now right make just also need call tool tools
    claude list set run say"""
)
# Verbs that a request begins with: in capitals they are no names.
_OPENERS = _COMMON | word_set(
    """calculate compute convert translate search find look book schedule send write create add
    compare check describe explain fly show remind order buy play open read mail weather"""
)
_QUOTED = re.compile(r"“([^”]+)”|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w]|\.\d)")
_NAME = re.compile(
    r"[A-Z][\w\u2019'.-]*(?:\s+(?:(?:of|de|del|la|van|von|der|the)\s+)?[A-Z][\w\u2019'.-]*)*"
    r"(?:,\s[A-Z]{2}\b)?"
)
_AFTER = re.compile(
    r"\b(in|at|near|around|for|from|to|of|on|about)\s+"
    r"(?=((?:the\s+)?\w[\w\u2019'-]*(?:\s+[\w\u2019'-]+){0,3}))"
)
_MATHS = re.compile(r"[(\d][\d\s.,()]*(?:(?:\*\*|[-+*/%^\u00d7\u00f7])\s*[\d(][\d\s.,()]*)+")
_PATTERNS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "uri": re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)]"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b(?!T)"),
    "date-time": re.compile(
        r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})"
    ),
    "time": re.compile(r"\b\d{2}:\d{2}(?::\d{2})?\b"),
    "ipv4": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
    "uuid": re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
}
_STEM = re.compile(r"(?:ings?|ers?|ed|es|s)$")
# Where a word begins in `getWeather` and in `runSQLQuery`.
_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MAX_CHARACTERS = 20_000


def words_in(text: str) -> list[str]:
    """Split a text or a name such as `get_weather` or `getWeather` into lower-case words."""
    apart = _JOINT.sub(" ", text).replace("_", " ")
    return [word.lower() for word in re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)?", apart)]


def stems(text: str) -> frozenset[str]:
    """Return the words of a text that mean something, cut to what their forms share."""
    telling = (word for word in words_in(text) if word not in _COMMON and len(word) > 1)
    return frozenset(_STEM.sub("", word) if len(word) > 4 else word for word in telling)


@dataclass(frozen=True)
class Words:
    """A prompt and what can be found in it. Each list is in the order of the prompt."""

    text: str
    # When one of several places is meant, it is the only name that counts.
    focus: str = ""
    # Words in lower case that are no names here, such as the values of an enumeration.
    known: frozenset[str] = frozenset()

    def knowing(self, values: frozenset[str]) -> Words:
        """Return the same prompt, read where these words have a meaning of their own."""
        return replace(self, known=values)

    def focused_on(self, name: str) -> Words:
        """Return the same prompt, read for one of the names in it."""
        return replace(self, focus=name)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The telling words."""
        return stems(self.text)

    @cached_property
    def quoted(self) -> list[str]:
        """The texts in quotation marks."""
        return [next(filter(None, found.groups())) for found in _QUOTED.finditer(self._short)]

    @cached_property
    def numbers(self) -> list[int | float]:
        """The numbers."""
        texts = [found.replace(",", "") for found in _NUMBER.findall(self._short)]
        return [float(text) if "." in text else int(text) for text in texts if len(text) < 16]

    @cached_property
    def maths(self) -> list[str]:
        """Arithmetic, such as `12 * (3 + 4)`."""
        found = (match.strip(" .,") for match in _MATHS.findall(self._short))
        return [term for term in found if not _PATTERNS["date"].fullmatch(term)]

    @cached_property
    def names(self) -> list[str]:
        """Words in capitals, without those that only begin a sentence."""
        if self.focus:
            return [self.focus]
        found = [_without_opening(match.group()) for match in _NAME.finditer(self._short)]
        return [name for name in dict.fromkeys(found) if name and name.lower() not in self.known]

    @cached_property
    def places(self) -> list[str]:
        """The words after `in`, `at`, `for` or the like: names if there are any, else any words."""
        sure = [name for name in self.names if self._follows(name, "in|at|near|around")]
        named = sure or [name for name in self.names if self._follows(name, "for|from|to|of")]
        if self.names:
            return self._with_neighbors(named) or self.names
        after = (self._phrase(match.group(2)) for match in _AFTER.finditer(self._short))
        return [phrase for phrase in after if phrase][:1]

    def after(self, *prepositions: str) -> list[str]:
        """Return the names or phrases that follow one of these words."""
        found: list[str] = []
        for match in _AFTER.finditer(self._short):
            if match.group(1) in prepositions:
                name = _NAME.match(self._short, match.start(2))
                found.append(_without_opening(name.group()) if name else self._phrase(match[2]))
        return [phrase for phrase in found if phrase]

    def of_format(self, name: str) -> list[str]:
        """Return addresses, links, dates and the like, by the name of the format in JSON Schema."""
        pattern = _PATTERNS.get(name)
        return pattern.findall(self._short) if pattern else []

    @property
    def _short(self) -> str:
        return self.text[:_MAX_CHARACTERS]

    def _follows(self, name: str, prepositions: str) -> bool:
        before = rf"\b(?:{prepositions})\s+(?:the\s+)?{re.escape(name)}"
        return re.search(before, self._short) is not None

    def _with_neighbors(self, named: list[str]) -> list[str]:
        """Extend names by those that a comma or an `and` joins to them."""
        chosen = list(named)
        for name in self.names:
            joined = rf"(?:,\s*(?:and\s+)?|\s+(?:and|or|&)\s+){re.escape(name)}"
            if name not in chosen and re.search(joined, self._short):
                chosen.append(name)
        return [name for name in self.names if name in chosen]

    def _phrase(self, text: str) -> str:
        kept: list[str] = []
        for word in text.split():
            if word.lower() in _COMMON and word.lower() != "the":
                break
            if word.lower() != "the":
                kept.append(word)
        return " ".join(kept)


def _without_opening(name: str) -> str:
    words = name.rstrip(".'\u2019-").removesuffix("\u2019s").removesuffix("'s").split()
    while words and words[0].lower().rstrip(",") in _OPENERS:
        del words[0]
    return " ".join(words)
