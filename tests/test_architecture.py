"""Who may import whom: read from the source, for every module."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src"
IMPURE = {"socket", "ssl", "select", "asyncio", "threading", "time", "random", "os", "secrets"}
# `os.PathLike` is the type of a path: it opens nothing.
TYPES = {"os.PathLike"}
PURE = (
    *("sansio", "endpoints", "models", "params", "sandbox", "errors"),
    *("accounting", "limiting", "structured"),
)
# In rooms that act otherwise.
PURE_MODULES = {"apertis.tools.loop", "apertis.tools.settings"}


@dataclass(frozen=True)
class Import:
    """A name that a module imports; `running` is false for what only type checkers see."""

    name: str
    running: bool
    at_top: bool


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "apertis").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> list[Import]:
    found: list[Import] = []

    def visit(node: ast.AST, *, running: bool, at_top: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, running, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found.extend(Import(name, running, at_top) for name in names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for guarded in node.body:
                visit(guarded, running=False, at_top=at_top)
            for other in node.orelse:
                visit(other, running=running, at_top=at_top)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                visit(child, running=running, at_top=at_top and not inside)

    visit(ast.parse(path.read_text("utf-8")), running=True, at_top=True)
    return found


MODULES = modules()
IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def part(module: str) -> str:
    """`apertis.sync.client` -> `sync`; `apertis` itself -> ``."""
    return module.split(".")[1] if module.count(".") else ""


def is_in(module: str, *parts: str) -> bool:
    return part(module) in parts


def own(name: str) -> str | None:
    """The module of this project that an imported name is, or stands in."""
    if name in MODULES:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in MODULES else None


# The parts of the SDK, each with those that it may import; types alone may come from anywhere
# below the shells.
LAYERS = {
    "errors": set[str](),
    "version": set[str](),
    "models": {"errors"},
    "params": {"errors", "models", "sansio"},
    "types": {"compat"},
    "attachments": {"errors", "models", "params"},
    "sansio": {"errors", "models"},
    "accounting": {"errors", "models", "sansio"},
    "limiting": set[str](),
    "endpoints": {"errors", "models", "progress", "sansio"},
    "compat": {"errors", "models", "params", "sansio"},
    "structured": {"endpoints", "errors", "models", "sansio"},
    "progress": {"errors"},
    "tools": {"errors", "models", "sansio", "logs", "progress", "structured"},
    "tls": {"errors", "sansio"},
    "logs": {"errors", "models", "sansio"},
    "configured": {"models", "sansio", "spending"},
    "attempts": {"errors", "models", "sansio", "logs"},
    "spending": {"accounting", "errors", "models", "sansio"},
}
SHELL = {*LAYERS}


def test_there_is_a_module_to_look_at() -> None:
    assert len(MODULES) > 60
    assert all(part in {part_ for name in MODULES for part_ in name.split(".")} for part in LAYERS)


@pytest.mark.parametrize("name", [n for n in MODULES if is_in(n, "sync", "aio", *LAYERS)])
def test_imports_go_downward_only(name: str) -> None:
    kind = part(name)
    allowed = LAYERS.get(kind, SHELL) | {kind}
    used = {part(module) for i in IMPORTS[name] if i.running and (module := own(i.name))}
    assert used - {""} <= allowed


@pytest.mark.parametrize(
    "name", [name for name in MODULES if is_in(name, *PURE) or name in PURE_MODULES]
)
def test_pure_parts_import_nothing_that_acts(name: str) -> None:
    used = {i.name for i in IMPORTS[name] if i.running} - TYPES
    assert not {n for n in used if n.partition(".")[0] in IMPURE}


# `apertis.__main__` is the command, under the package's name.
SERVER_SIDE = ("gateway", "sandbox", "cli", "testing", "__main__")


@pytest.mark.parametrize("name", [n for n in MODULES if not is_in(n, *SERVER_SIDE)])
def test_the_sdk_knows_nothing_of_the_server(name: str) -> None:
    used = {part(module) for i in IMPORTS[name] if (module := own(i.name))}
    assert not used & {*SERVER_SIDE}


# What calls others: upstreams, the targets of alerts, an identity provider.
CALLERS = tuple(
    f"apertis.gateway.{name}" for name in ("upstreams", "alerts", "otlp", "signin.oidc")
)


def test_the_gateway_uses_the_core_and_not_the_clients() -> None:
    for name, found in IMPORTS.items():
        if is_in(name, "gateway"):
            used = {part(module) for i in found if (module := own(i.name))}
            allowed = {
                "",
                "gateway",
                "sansio",
                "models",
                "errors",
                "sandbox",
                "version",
                "installation",
                "accounting",
                "limiting",
            }
            if name.startswith(CALLERS):
                # The gateway's own calls go over the SDK's connections.
                allowed |= {"aio", "tls"}
            assert used <= allowed, (name, used)


# The gateway's rooms, each with those that it may import; types alone may come from anywhere.
# Features know neither each other nor what stores, serves and tells a request's story.
FEATURES = {"cache", "keys", "limits", "routing"}
# Who stands behind a key, and what they may spend: above keys, and below all that serves.
MONEY = {"budgets", "people"}
VALUES = {"config", "errors", "units", "upstreams"}
GATEWAY = {
    "errors": set[str](),
    "units": set[str](),
    "config": {"units"},
    "finding": set[str](),
    "upstreams": {"config", "finding"},
    **dict.fromkeys(FEATURES, VALUES),
    "budgets": VALUES | {"keys", "people"},
    "people": VALUES | {"budgets", "keys"},
    "store": VALUES | MONEY | {"keys"},
    "replicas": VALUES | FEATURES | MONEY | {"store"},
    "alerts": VALUES | MONEY | {"keys", "store"},
    "request": VALUES | FEATURES | MONEY | {"store"},
    "observe": VALUES,
    # It asks upstreams, and knows of the gateway what it is asked.
    "catalogue": VALUES | {"request"},
    "serving": VALUES | FEATURES | MONEY | {"request", "observe"},
    "otlp": VALUES | {"keys", "people", "request"},
    "batches": VALUES | FEATURES | MONEY | {"request", "serving", "store"},
    "admin": VALUES | FEATURES | MONEY | {"alerts", "serving", "store"},
    "doctor": VALUES | {"finding", "serving", "signin", "store"},
    "signin": VALUES | {"budgets", "keys", "people", "serving", "store"},
    # The use cases of the administration in pages; it has no policy of its own.
    "console": VALUES
    | MONEY
    | {"admin", "doctor", "finding", "keys", "routing", "serving", "signin", "store"},
}
MAX_ROOT_MODULES = 4


@pytest.mark.parametrize("name", [n for n in MODULES if is_in(n, "gateway") and n.count(".") > 1])
def test_the_rooms_of_the_gateway_import_one_way(name: str) -> None:
    room = name.split(".")[2]
    if room == "gateway":
        # It wires everything.
        return
    used = {
        module.split(".")[2]
        for i in IMPORTS[name]
        if i.running and (module := own(i.name)) and module.startswith("apertis.gateway.")
    }
    assert used - {room} <= GATEWAY[room]


OUTSIDE = [
    name
    for name, imported in IMPORTS.items()
    if "apertis.gateway.request.context" in {own(found.name) for found in imported}
    and not name.startswith("apertis.gateway.request.")
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_comes_of_a_request_is_assigned_in_one_room(name: str) -> None:
    assigned = [
        ast.unparse(target)
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for whole in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for target in (whole.elts if isinstance(whole, ast.Tuple) else [whole])
        if isinstance(target, ast.Attribute)
        and ast.unparse(target.value).split(".")[-1] in {"context", "progress"}
    ]
    assert not assigned


def test_the_gateways_root_has_few_modules() -> None:
    root = {name for name in MODULES if name.rpartition(".")[0] == "apertis.gateway"}
    modules = {name for name in root if MODULES[name].name != "__init__.py"}
    assert len(modules) <= MAX_ROOT_MODULES, modules


def test_only_the_store_speaks_sql() -> None:
    for name, found in IMPORTS.items():
        # The doctor looks at a database that it must neither make nor change.
        if not name.startswith(("apertis.gateway.store", "apertis.gateway.doctor.stored")):
            used = {i.name.partition(".")[0] for i in found}
            assert not used & {"sqlalchemy", "alembic", "asyncpg", "sqlite3"}, name


@pytest.mark.parametrize("kind", sorted(FEATURES))
def test_a_features_policy_is_pure(kind: str) -> None:
    allowed = {("apertis.gateway.keys.secrets", "secrets")}
    for name, found in IMPORTS.items():
        if name.startswith(f"apertis.gateway.{kind}"):
            used = {i.name.partition(".")[0] for i in found if i.running} & IMPURE
            assert {(name, module) for module in used} <= allowed, name


def test_the_sandbox_stands_alone() -> None:
    for name, found in IMPORTS.items():
        if is_in(name, "sandbox"):
            used = {part(module) for i in found if (module := own(i.name))}
            assert used <= {"sandbox", "errors", "models"}, (name, used)


def test_the_clients_do_not_know_each_other() -> None:
    for name, found in IMPORTS.items():
        used = {part(module) for i in found if (module := own(i.name))}
        if is_in(name, "sync"):
            assert "aio" not in used, name
            assert not any(i.name.partition(".")[0] == "asyncio" for i in found), name
        if is_in(name, "aio"):
            assert "sync" not in used, name


@pytest.mark.parametrize("running", [True, False], ids=["running", "with types"])
def test_no_import_runs_in_a_circle(running: bool) -> None:
    graph = {
        name: {
            module
            for i in found
            if i.at_top and (i.running or not running) and (module := own(i.name))
        }
        - {name}
        for name, found in IMPORTS.items()
    }
    # A package is loaded before what is in it; its own imports of its parts are no circle, and it
    # hands on their names alone.
    for name in graph:
        graph[name] -= {package for package in graph if name.startswith(package + ".")}
        if not running and MODULES[name].name == "__init__.py":
            graph[name] -= {module for module in graph if module.startswith(name + ".")}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:  # pragma: no cover - shown when it happens.
        pytest.fail(f"a circle: {error.args[1]}")
    assert set(order) == set(graph)


def test_only_what_is_optional_is_imported_inside_functions() -> None:
    late = {
        (part(name), i.name.partition(".")[0])
        for name, found in IMPORTS.items()
        for i in found
        if i.running and not i.at_top and not is_in(name, "cli", "gateway", "testing", "sandbox")
    }
    assert late <= {
        ("", "importlib"),
        ("spending", "apertis"),
        ("sync", "apertis"),
        ("aio", "apertis"),
        ("models", "jiter"),
        ("models", "http"),
        ("sansio", "email"),
        ("sansio", "ipaddress"),
        ("tls", "truststore"),
        ("attachments", "mimetypes"),
    }


def test_every_module_says_what_it_is_and_annotates_lazily() -> None:
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text("utf-8"))
        assert ast.get_docstring(tree), f"{name} has no docstring"
        if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(tree)):
            assert "from __future__ import annotations" in path.read_text("utf-8"), name


def caught(handler: ast.ExceptHandler) -> set[str]:
    """The last names of the exceptions that a clause catches."""
    nodes = ast.walk(handler.type) if handler.type is not None else ()
    return {getattr(n, "attr", getattr(n, "id", "")) for n in nodes}


@pytest.mark.parametrize("name", [n for n in MODULES if n != "apertis.models.json"])
def test_json_that_cannot_be_read_has_one_guard(name: str) -> None:
    """A decoder raises three things; whoever lists them by hand forgets one, or says them anew."""
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple):
            listed = {getattr(n, "attr", getattr(n, "id", "")) for n in node.elts}
            assert "DecodeError" not in listed, f"{name}:{node.lineno}: see models.json.UNREADABLE"
        if isinstance(node, ast.Try):
            clauses = [caught(handler) for handler in node.handlers]
            if {"DecodeError"} & set().union(*clauses):
                # Told apart, and none left out.
                assert {"RecursionError"} & set().union(*clauses), f"{name}:{node.lineno}"


def test_only_packages_list_what_is_public() -> None:
    for name, path in MODULES.items():
        if path.name != "__init__.py":
            assert "\n__all__ = " not in path.read_text("utf-8"), name
