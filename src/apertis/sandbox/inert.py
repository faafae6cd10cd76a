"""Detection of values that a program would execute, and harmless values in their place.

A tool call is a wish that a program grants: it runs the command, writes the file, sends the mail.
The sandbox cannot mean any of it, so whatever acts is given values of this module, never words of
the prompt. A schema's own `const`, `enum`, `default` and examples come before them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from apertis.sandbox.values import JsonObject, is_array, is_object
from apertis.sandbox.vocabulary import word_set, words_in

if TYPE_CHECKING:
    from collections.abc import Iterator

# A value that names nothing and says nothing, for whatever has no value of its own below.
NOTHING = "apertis-sandbox-inert"

_SHELLS = word_set("bash shell sh zsh fish powershell pwsh cmd command commands terminal tty")
_LANGUAGES = word_set("python javascript js typescript node ruby perl php lua repl eval")
_DATABASES = word_set(
    "sql database db postgres postgresql mysql sqlite duckdb mongo mongodb redis bigquery"
)
# Verbs of tools that run something, or change, remove or send what is outside of the conversation.
_VERBS = word_set(
    """run exec execute executor evaluate interpreter console write edit append update modify insert
    replace patch apply upsert overwrite upload move mv cp rename touch mkdir chmod chown mount
    delete remove rm rmdir drop erase purge truncate destroy wipe reset revert rollback
    install uninstall upgrade deploy release publish push commit merge rebase checkout stash
    kill stop terminate abort cancel launch restart reboot shutdown disable
    send reply forward notify sms tweet invite pay buy purchase charge refund transfer withdraw
    trade grant revoke trigger wakeup click press key drag computer memory notebook worktree todo
    cron login"""
)
# These act on what belongs to a machine or an account; elsewhere they only write down a response,
# as `create_person` and `save_recipe` do.
_MAKING = word_set("create make generate add set put save store copy open start enable post submit")
_MADE = word_set(
    """file files dir directory folder branch repo repository issue pull pr ticket comment user
    account key token secret table database index bucket server instance vm container volume
    cluster job process worktree cell memory webhook message email mail channel payment invoice
    plan mode"""
)
# A first word that only looks: `get_memory`, `list_commands`, `searchOrders`.
_LOOKS = word_set(
    """get list read find search lookup look show view describe count check fetch query browse
    inspect explain compare calculate compute convert translate summarize validate preview glob
    grep ls is has"""
)
_RUNNING = word_set(
    "run exec execute eval interpreter repl kill delete remove write replace"
) | _SHELLS - {"command", "commands"}
_AGENTS = word_set("agent agents subagent subagents delegate dispatch spawn handoff swarm workflow")
_WORK = word_set("task tasks team teams")
_STARTS = word_set("start create run launch new add begin execute schedule")
_AGENT_FIELDS = ("subagent_type", "subagentType", "agent_type", "agentType")

# Properties that are run wherever they stand, and `code` only where no word says what it is for.
_RUN = _SHELLS - {"fish", "terminal", "tty"} | word_set(
    """script scripts sql javascript js python eval patch diff graphql cypher jq awk macro
    executable"""
)
_CODES = word_set(
    """country zip postal post currency language lang locale area region state city error status
    exit return response http product item coupon promo promotion discount voucher gift airport
    iata icao airline station stock ticker bar qr color colour dial phone calling access
    verification security pin booking confirmation reservation tracking order branch bank swift
    sort tax hs iso course room department dept unit category event reason diagnosis icd cpt"""
)
_MAYBE_RUN = word_set("query queries statement input text expression body content source q request")
_RUN_WORDS = word_set(
    "sql bash shell powershell cypher graphql javascript python executed executes execute runs"
)
_FORMULAS = word_set("expression expressions expr formula formulas equation calculation")
_PATHS = word_set(
    """path paths file files filename filepath dir directory folder cwd workdir glob pattern
    destination dest dst source src target root notebook"""
)
_LINKS = word_set("url urls uri uris link href endpoint webhook origin")
_ADDRESSES = word_set("email emails mail to cc bcc recipient recipients address from sender")
_DRY = word_set("dry simulate simulation preview noop validate")
_PROCESSES = word_set("pid pids process port ports fd")
# Above every process number and port that a system gives out.
_NO_PROCESS = 2**31 - 1
_MODEST = word_set(
    "none noop view read list get show status screenshot check help describe info search find wait"
)
_JOINED = re.compile(
    r"(run|exec|execute|eval|write|edit|delete|remove|create|send|kill|apply|deploy)"
    r"(command|cmd|code|file|files|shell|script|sql|mail|email|message|process|patch|query|python)"
)


def tokens(name: str) -> list[str]:
    """Return the words of a tool's or property's name, without MCP prefix and numbers."""
    found: list[str] = []
    for word in words_in(name):
        bare = word.strip("0123456789")
        joined = _JOINED.fullmatch(bare)
        found += joined.groups() if joined else [bare] if bare else []
    return found[1:] if found[:1] == ["mcp"] and name.startswith("mcp__") else found


def acts(tool: JsonObject) -> bool:
    """Return whether a tool runs, changes or sends something, by its name.

    A name that begins with a word for looking is one for looking, unless it names a shell.
    """
    own = tokens(str(tool["name"]).rsplit("__", 1)[-1])
    whole = set(tokens(str(tool["name"])))
    if own[:1] and own[0] in _LOOKS and not whole & _RUNNING:
        return bool(whole & _DATABASES) and "query" in own
    if whole & _MAKING and whole & _MADE:
        return True
    return bool(whole & (_VERBS | _SHELLS | _LANGUAGES | _DATABASES))


def starts_agents(tool: JsonObject) -> bool:
    """Return whether a tool starts another agent or a task of its own."""
    schema = tool.get("input_schema")
    fields: Any = schema.get("properties", {}) if is_object(schema) else {}
    if any(name in fields for name in _AGENT_FIELDS):
        return True
    own = tokens(str(tool["name"]).rsplit("__", 1)[-1])
    named = set(own)
    if named and named <= _WORK:
        return True
    if own[:1] and own[0] in _LOOKS:
        return False
    return bool(named & _AGENTS) or bool(named & _WORK and named & _STARTS)


def is_run(name: str, schema: object) -> bool:
    """Return whether programs run the value of a property: a command, a script, code, SQL."""
    words = tokens(name)
    named = set(words)
    if named & _RUN:
        return True
    if "code" in named or "codes" in named:
        return not named & _CODES
    if not named & _MAYBE_RUN or not is_object(schema):
        return False
    return bool(set(words_in(str(schema.get("description", ""))[:500])) & _RUN_WORDS)


def is_formula(name: str) -> bool:
    """Return whether a property holds arithmetic, which simple programs evaluate as code."""
    return bool(set(tokens(name)) & _FORMULAS)


def inert_strings(name: str, schema: JsonObject) -> Iterator[str]:
    """Yield strings that do nothing when they are carried out, the fittest for this property first.

    `true` is a command that does nothing, `0` a program in most languages, `SELECT 1` a query that
    reads no table. Below `/dev/null`, which is no directory, no file can be made, changed or
    removed; hosts below `.invalid` are none (RFC 2606).
    """
    form = schema.get("format")
    if form in ("email", "idn-email"):
        yield "nobody@example.invalid"
    elif form in ("uri", "iri", "url"):
        yield "https://example.invalid/"
    elif form in ("hostname", "idn-hostname"):
        yield "example.invalid"
    named = set(tokens(name))
    about = named | set(words_in(str(schema.get("description", ""))[:500]))
    if named & {"graphql"} or (named & _MAYBE_RUN and "graphql" in about):
        yield "{ __typename }"
    elif named & {"cypher"} or (named & _MAYBE_RUN and "cypher" in about):
        yield "RETURN 1"
    elif named & {"sql", "query", "queries", "statement", "statements"}:
        yield "SELECT 1"
    elif named & {"patch", "diff"}:
        yield "*** Begin Patch\n*** End Patch"
    elif named & (_SHELLS | {"script", "scripts", "executable"}):
        yield "true"
    elif named & (_LANGUAGES | _FORMULAS | {"code", "codes"}):
        yield "0"
    elif named & _PATHS:
        yield "/dev/null/" + NOTHING
    elif named & _LINKS:
        yield "https://example.invalid/"
    elif named & _ADDRESSES:
        yield "nobody@example.invalid"
    yield NOTHING


def inert_numbers(name: str) -> tuple[int, ...]:
    """Return harmless numbers: no process or port has the first, nothing is counted by the last."""
    return (_NO_PROCESS, 0) if set(tokens(name)) & _PROCESSES else (0,)


def inert_flags(name: str) -> tuple[bool, bool]:
    """Off before on, but for a switch that asks to act only for show."""
    return (True, False) if set(tokens(name)) & _DRY else (False, True)


def modest_first(allowed: list[Any]) -> list[Any]:
    """Return the values of an enumeration, those first that only look."""
    return sorted(allowed, key=lambda value: not set(tokens(str(value))) & _MODEST)


def suggested(schema: JsonObject) -> Iterator[Any]:
    """Yield the schema's own suggestions: its default, then its examples."""
    if "default" in schema:
        yield schema["default"]
    examples = schema.get("examples")
    yield from examples if is_array(examples) else ()
    if "example" in schema:
        yield schema["example"]
