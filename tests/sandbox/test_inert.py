"""What a program would carry out holds no words of the prompt and does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox.inert import acts, is_run, starts_agents
from apertis.sandbox.schemas import fill
from apertis.sandbox.schemas.check import fits
from apertis.sandbox.vocabulary import Words

TEXT = {"type": "string"}
MARK = "xyzzy"
PROMPT = (
    f'{MARK}: run bash, use Write and Edit, delete_file "/tmp/{MARK}.txt", execute_code, send_email'
    f" to {MARK}@example.com, query the database with apply_patch at https://{MARK}.example.com 42"
)


def tool(name: str, /, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": f"{name} of the program", "input_schema": schema}


def forced(client: Any, offered: dict[str, Any], prompt: str = PROMPT) -> dict[str, Any]:
    choice = {"type": "tool", "name": offered["name"]}
    answer = client.ask(prompt, tools=[offered], tool_choice=choice)
    assert answer.status == 200, answer.body
    (block,) = answer.json["content"]
    return dict(block["input"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", "true"),
        ("cmd", "true"),
        ("shell_command", "true"),
        ("bashCommand", "true"),
        ("script", "true"),
        ("code", "0"),
        ("source_code", "0"),
        ("pythonCode", "0"),
        ("sql", "SELECT 1"),
        ("sqlQuery", "SELECT 1"),
        ("cypher", "RETURN 1"),
        ("graphql", "{ __typename }"),
        ("patch", "*** Begin Patch\n*** End Patch"),
        ("expression", "0"),
    ],
)
def test_a_property_that_programs_run_gets_a_value_that_does_nothing(
    client: Any, name: str, value: str
) -> None:
    assert forced(client, tool("get_answer", **{name: TEXT})) == {name: value}
    assert is_run(name, TEXT) or name == "expression"


@pytest.mark.parametrize(
    ("description", "value"), [("The SQL to run", "SELECT 1"), ("What to look for", PROMPT)]
)
def test_a_query_is_run_where_its_description_says_so(
    client: Any, description: str, value: str
) -> None:
    query = {"type": "string", "description": description}
    found = forced(client, tool("lookup", query=query))
    assert (found["query"] == "SELECT 1") == (value == "SELECT 1")
    assert (MARK in found["query"]) == (value == PROMPT)


@pytest.mark.parametrize(
    "name",
    ["country_code", "zipCode", "postal_code", "currency_code", "description", "city", "query"],
)
def test_what_only_sounds_like_code_is_filled_from_the_prompt(name: str) -> None:
    assert not is_run(name, TEXT)


ACTING = [
    "bash",
    "Bash",
    "run_command",
    "runCommand",
    "runcommand",
    "execSQL",
    "runSQLQuery",
    "query_database",
    "execute_code",
    "python",
    "code_interpreter",
    "terminal",
    "PowerShell",
    "Write",
    "Edit",
    "MultiEdit",
    "NotebookEdit",
    "write_file",
    "writefile",
    "str_replace_based_edit_tool",
    "str_replace_editor",
    "apply_patch",
    "applyPatch",
    "delete_user",
    "DeleteFile",
    "rm",
    "get_and_delete",
    "find_and_replace",
    "kill_process",
    "KillShell",
    "send_email",
    "sendMail",
    "deploy",
    "memory",
    "computer",
    "create_file",
    "createFile",
    "create_pull_request",
    "push_files",
    "move_file",
    "TodoWrite",
    "ScheduleWakeup",
    "RemoteTrigger",
    "CronCreate",
    "mcp__filesystem__write_file",
    "mcp__shell__run",
    "mcp__postgres__query",
]
LOOKING = [
    "get_weather",
    "get_time",
    "calculator",
    "search_library",
    "ping_host",
    "list_files",
    "read_file",
    "Read",
    "Glob",
    "Grep",
    "WebFetch",
    "WebSearch",
    "list_tasks",
    "TaskGet",
    "TaskOutput",
    "get_zip_code",
    "searchOrders",
    "extract_code",
    "mcp__github__get_issue",
    "mcp__memory__search",
    "create_person",
    "save_recipe",
]
AGENTS = [
    "Task",
    "Agent",
    "dispatch_agent",
    "dispatchAgent",
    "run_subagent",
    "TaskCreate",
    "create_task",
    "delegate_to",
    "Workflow",
    "spawn_worker",
    "TeamCreate",
    "mcp__x__start_task",
]


@pytest.mark.parametrize("name", ACTING)
def test_a_tool_that_acts_is_told_by_its_name(client: Any, name: str) -> None:
    offered = tool(
        name,
        file_path=TEXT,
        content=TEXT,
        url={"type": "string", "format": "uri"},
        to={"type": "string", "format": "email"},
        number={"type": "integer"},
        recursive={"type": "boolean"},
        dry_run={"type": "boolean"},
        pid={"type": "integer"},
        edits={"type": "array", "items": TEXT},
        action={"enum": ["delete", "view"]},
    )
    assert acts(offered)
    assert forced(client, offered) == {
        "file_path": "/dev/null/apertis-sandbox-inert",
        "content": "apertis-sandbox-inert",
        "url": "https://example.invalid/",
        "to": "nobody@example.invalid",
        "number": 0,
        "recursive": False,
        "dry_run": True,
        "pid": 2**31 - 1,
        "edits": [],
        "action": "view",
    }


@pytest.mark.parametrize("name", LOOKING)
def test_a_tool_that_looks_or_writes_down_an_answer_does_not_act(name: str) -> None:
    assert not acts(tool(name))
    assert not starts_agents(tool(name))


def test_a_value_that_the_schema_gives_comes_before_the_inert_one(client: Any) -> None:
    given_values = {
        "command": {"type": "string", "default": "ls"},
        "path": {"type": "string", "examples": ["/work/a.txt"]},
        "mode": {"const": "fast"},
        "sql": {"type": "string", "example": "SELECT 2"},
        "limit": {"type": "integer", "default": 7},
    }
    found = forced(client, tool("bash", **given_values))
    expected = {"command": "ls", "path": "/work/a.txt", "mode": "fast"}
    assert found == {**expected, "sql": "SELECT 2", "limit": 7}


def test_structured_output_holds_no_command_of_the_prompt(client: Any) -> None:
    schema = {"type": "object", "properties": {"command": TEXT}, "required": ["command"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert client.ask(PROMPT, output_config=config).text == '{"command":"true"}'


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            TEXT,
            {"type": "string", "minLength": 30},
            {"type": "string", "maxLength": 4},
            {"type": "string", "pattern": "^[a-z]{3,9}$"},
            {"type": "string", "format": "uri"},
            {"type": "integer"},
            {"type": "boolean"},
            {"type": ["string", "null"]},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item, "minItems": 2}, inner),
        st.builds(
            lambda part: {"type": "object", "properties": {"path": part}, "required": ["path"]},
            inner,
        ),
    ),
    max_leaves=4,
)


@given(SCHEMAS, st.sampled_from(["command", "code", "sql", "content", "file_path", "text"]))
def test_no_word_of_the_prompt_gets_into_what_acts(schema: dict[str, Any], name: str) -> None:
    whole = {"type": "object", "properties": {name: schema}, "required": [name]}
    value = fill(whole, Words(PROMPT), acts=True)
    assert fits(value, whole, whole)
    assert MARK not in str(value)
    assert "42" not in str(value)
    if name in ("command", "code", "sql"):
        assert fill(whole, Words(PROMPT)) == value


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_inert_values_do_nothing_when_they_are_carried_out(tmp_path: Path) -> None:
    shell = subprocess.run(["sh", "-c", "true"], capture_output=True, cwd=tmp_path, check=True)
    argv = subprocess.run(["true"], capture_output=True, cwd=tmp_path, check=True)
    assert (shell.stdout, shell.stderr, argv.stdout) == (b"", b"", b"")
    assert eval(compile("0", "code", "exec")) is None
    inside = Path("/dev/null/apertis-sandbox-inert")
    with pytest.raises(NotADirectoryError):
        inside.write_text("")
    with pytest.raises(NotADirectoryError):
        inside.unlink()
    with pytest.raises(NotADirectoryError):
        inside.mkdir(parents=True)
    assert not list(tmp_path.iterdir())


def described(name: str, about: str, /, **properties: Any) -> dict[str, Any]:
    return {**tool(name, **properties), "description": about}


_LONG = (
    "Say hi, hello, explain, help, project, files, tests, code and everything else of a manual."
    " Usage notes follow. "
) * 40

# As Claude Code offers them, in our own words: names, properties and long descriptions.
CLAUDE_CODE = [
    described("Task", "Launch an agent. " + _LONG, description=TEXT, prompt=TEXT,
              subagent_type=TEXT),
    described("Agent", "Launch an agent. " + _LONG, description=TEXT, prompt=TEXT,
              subagent_type=TEXT),
    described("Bash", "Executes a command. " + _LONG, command=TEXT, timeout={"type": "number"},
              description=TEXT, run_in_background={"type": "boolean"}),
    described("Glob", "Fast file pattern matching. " + _LONG, pattern=TEXT, path=TEXT),
    described("Grep", "Search of contents. " + _LONG, pattern=TEXT, path=TEXT, glob=TEXT),
    described("Read", "Reads a file. " + _LONG, file_path=TEXT, offset={"type": "number"}),
    described("Edit", "Exact replacement in files. " + _LONG, file_path=TEXT, old_string=TEXT,
              new_string=TEXT, replace_all={"type": "boolean"}),
    described("Write", "Writes a file. " + _LONG, file_path=TEXT, content=TEXT),
    described("NotebookEdit", "Replaces a cell. " + _LONG, notebook_path=TEXT, new_source=TEXT),
    described("WebFetch", "Fetches a page. " + _LONG, url={"type": "string", "format": "uri"},
              prompt=TEXT),
    described("WebSearch", "Searches the web. " + _LONG, query=TEXT),
    described("TodoWrite", "A list of what is to do. " + _LONG, todos={"type": "array"}),
    described("TaskCreate", "Creates a task. " + _LONG, subject=TEXT, description=TEXT),
    described("TaskUpdate", "Updates a task. " + _LONG, taskId=TEXT, status=TEXT),
    described("TaskStop", "Stops a task. " + _LONG, task_id=TEXT),
    described("KillShell", "Kills a shell. " + _LONG, shell_id=TEXT),
    described("Skill", "Runs a skill. " + _LONG, skill=TEXT, args=TEXT),
    described("SlashCommand", "Runs a command. " + _LONG, command=TEXT),
    described("ExitPlanMode", "Leaves the plan. " + _LONG, plan=TEXT),
    described("EnterWorktree", "Makes a worktree. " + _LONG, name=TEXT),
    described("mcp__ide__executeCode", "Runs code. " + _LONG, code=TEXT),
]  # fmt: skip

REMINDER = (
    "<system-reminder>\nThe agent types for the Agent tool are: Explore, to search the web, run "
    "bash, read and write files. Use Task for tasks. Today is 2026-11-28. xyzzy\n"
    "</system-reminder>\n"
)


def claude_code(client: Any, *texts: str, **fields: Any) -> Any:
    content = [{"type": "text", "text": text} for text in texts]
    system = [
        {"type": "text", "text": "You are a coding agent.", "cache_control": {"type": "ephemeral"}}
    ]
    return client.ask(content, tools=CLAUDE_CODE, system=system, **fields)


@pytest.mark.parametrize(
    "texts",
    [
        ("hi",),
        (REMINDER, "hi"),
        (REMINDER + "hi",),
        ("hi\n" + REMINDER,),
        (REMINDER, REMINDER, "hi", REMINDER),
        (REMINDER, "<local-command-caveat>run bash</local-command-caveat>", "hi"),
        (REMINDER,),
        ("<system-reminder>run bash, it never ends", "hi"),
    ],
)
def test_a_greeting_to_claude_code_is_answered_in_words(client: Any, texts: tuple[str]) -> None:
    answer = claude_code(client, *texts)
    assert answer.json["stop_reason"] == "end_turn"
    assert [block["type"] for block in answer.json["content"]] == ["text"]
    assert MARK not in answer.text
    if "hi" in texts:
        assert "You said: “hi”" in answer.text


@pytest.mark.parametrize("name", ["Task", "Agent", "TaskCreate"])
@pytest.mark.parametrize("prompt", ["Use the {} tool", "Start a task with an agent: {}"])
def test_no_agent_and_no_task_is_started_of_the_sandboxs_own_choice(
    client: Any, name: str, prompt: str
) -> None:
    for choice in ("auto", "any"):
        answer = claude_code(client, prompt.format(name), tool_choice={"type": choice})
        called = [block.get("name") for block in answer.json["content"]]
        assert not {"Task", "Agent", "TaskCreate"} & set(called)


def test_a_forced_agent_is_given_nothing_to_do(client: Any) -> None:
    offered = tool("Task", description=TEXT, prompt=TEXT, subagent_type=TEXT)
    assert set(forced(client, offered).values()) == {"apertis-sandbox-inert"}


def test_what_a_prompt_names_is_called_with_nothing_of_the_prompt(client: Any) -> None:
    answer = claude_code(client, REMINDER, f"Run Bash: touch /tmp/{MARK}")
    (call,) = [block for block in answer.json["content"] if block["type"] == "tool_use"]
    assert (call["name"], call["input"]["command"]) == ("Bash", "true")
    assert MARK not in str(call["input"])


def test_a_reminder_beside_a_result_is_no_question(client: Any) -> None:
    use = {"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": "a"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "Ok"}
    messages = [
        {"role": "user", "content": "Read a"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result, {"type": "text", "text": REMINDER}]},
    ]
    answer = claude_code(client, messages=messages)
    assert answer.json["stop_reason"] == "end_turn"
    assert MARK not in answer.text


@given(st.lists(st.sampled_from(["<system-reminder>", "</system-reminder>", "word "]), max_size=12))
def test_what_stands_in_a_closed_reminder_is_never_heard(pieces: list[str]) -> None:
    from apertis.sandbox.prompt import hear

    text = "".join(pieces)
    text = f"before <system-reminder>{MARK}{text}</system-reminder> after"
    request = {"messages": [{"role": "user", "content": text}]}
    heard = hear(request, {})
    assert MARK not in heard.question
    assert heard.question.startswith("before")
    assert heard.question.endswith("after")
