"""A database of any earlier form becomes one of the newest, or stays as it was."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Text, inspect, text

from apertis.errors import ConfigurationError
from apertis.gateway.budgets.accounts import AccountSpec
from apertis.gateway.budgets.limit import account_id, quota_limit
from apertis.gateway.budgets.periods import TOTAL
from apertis.gateway.config.settings import FILE_NAME
from apertis.gateway.store.database import Store
from apertis.gateway.store.journal import Journal
from apertis.gateway.store.location import location_of
from apertis.gateway.store.mover import Mover
from apertis.gateway.store.schema import HEAD, ROLLUPS, metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection


def script() -> Config:
    config = Config()
    config.set_main_option("script_location", "apertis.gateway.store:migrations")
    return config


def on_database(location: Path | str, work: Callable[[Connection], Any]) -> Any:
    async def run() -> Any:
        place = location_of(location)
        place.prepare()
        database = place.connect()
        try:
            return await database.write(work)
        finally:
            await database.close()

    return asyncio.run(run())


def make_earlier(location: Path | str, revision: str = "0001") -> None:
    def work(connection: Connection) -> None:
        config = script()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    on_database(location, work)


def run_statement(location: Path | str, statement: str) -> None:
    on_database(location, lambda connection: connection.execute(text(statement)))


def revision(location: Path | str) -> str:
    statement = text("SELECT version_num FROM alembic_version")
    found: str = on_database(location, lambda connection: connection.scalar(statement))
    return found


def tables(location: Path | str) -> set[str]:
    return set(on_database(location, lambda connection: inspect(connection).get_table_names()))


def open_and_close(location: Path | str, **options: Any) -> None:
    async def work() -> None:
        async with await Store.open(location, **options) as store:
            await store.ping()

    asyncio.run(work())


def test_the_constant_is_the_newest_step_and_steps_are_numbered() -> None:
    scripts = ScriptDirectory.from_config(script())
    assert scripts.get_heads() == [HEAD]
    steps = [step.revision for step in scripts.walk_revisions()]
    assert sorted(steps) == [f"{number:04}" for number in range(1, len(steps) + 1)]


@pytest.mark.parametrize("first", ["0001", "head", None])
def test_new_tables_and_the_steps_are_those_that_the_code_uses(
    location: Path | str, first: str | None
) -> None:
    if first is not None:
        make_earlier(location, first)
    open_and_close(location)
    assert revision(location) == HEAD
    version = text("SELECT id, version FROM key_version")
    assert on_database(location, lambda at: at.execute(version).all()) == [(1, 0)]

    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        known = inspect(connection)
        for table in metadata.sorted_tables:
            identity = known.get_pk_constraint(table.name)["constrained_columns"]
            assert identity == [column.name for column in table.primary_key]
            columns = [column["name"] for column in known.get_columns(table.name)]
            assert columns == [column.name for column in table.columns]

    on_database(location, compare)


def test_what_an_earlier_version_kept_is_still_there(location: Path | str) -> None:
    make_earlier(location)
    run_statement(location, "INSERT INTO key_usage (key_id, used_units) VALUES ('key_a', 42)")
    assert "batches" not in tables(location)
    open_and_close(location, exclusive=True)
    assert revision(location) == HEAD
    assert "batches" in tables(location)
    query = text("SELECT used_units FROM key_usage")
    assert on_database(location, lambda connection: connection.scalar(query)) == 42


def test_the_last_use_of_before_is_known_to_the_quarter_hour(location: Path | str) -> None:
    make_earlier(location, "0008")
    run_statement(location, "INSERT INTO key_usage VALUES ('key_a', 3), ('key_b', 0)")

    def quarter(connection: Connection) -> None:
        table = metadata.tables["usage_quarters"]
        row: dict[str, object] = {column.name: 0 for column in table.columns}
        names = [name for name in row if isinstance(table.c[name].type, Text)]
        row |= dict.fromkeys(names, "") | {"key_id": "key_a"}
        for number in (2_000_000, 1_900_000):
            connection.execute(table.insert().values(row | {"quarter": number}))

    on_database(location, quarter)
    open_and_close(location)
    query = text("SELECT last_used_ms FROM key_usage ORDER BY key_id")
    assert on_database(location, lambda at: list(at.scalars(query))) == [1_800_000_000_000, None]


def test_quarter_hours_of_before_are_added_up_to_the_smaller_tables(location: Path | str) -> None:
    make_earlier(location, "0008")
    quarters = metadata.tables["usage_quarters"]
    names = [column.name for column in quarters.columns if isinstance(column.type, Text)]

    def fill(connection: Connection) -> None:
        for number in range(60):
            row: dict[str, object] = {column.name: number for column in quarters.columns}
            row |= {name: f"{name}_{number % place}" for place, name in enumerate(names, 2)}
            connection.execute(quarters.insert().values(row | {"quarter": 2_000_000 + number // 3}))

    def compare(connection: Connection) -> None:
        for table in ROLLUPS:
            expected: dict[tuple[object, ...], list[int]] = {}
            by = [column.name for column in table.primary_key][1:]
            sums = table.columns.keys()[1 + len(by) :]
            for row in connection.execute(quarters.select()).mappings():
                unit = row["quarter"] // 4 if "hour" in table.c else row["quarter"]
                group = (unit, *(row[name] for name in by))
                added = expected.setdefault(group, [0] * len(sums))
                expected[group] = [one + row[name] for one, name in zip(added, sums, strict=True)]
            found = {
                tuple(row[: len(by) + 1]): [*row[len(by) + 1 :]]
                for row in connection.execute(table.select())
            }
            assert found == expected

    on_database(location, fill)
    open_and_close(location)
    on_database(location, compare)


def test_a_store_of_the_first_version_has_the_same_money_left(
    location: Path | str, tmp_path: Path
) -> None:
    make_earlier(location, "0004")
    # A key with a quota that has spent of it, with an open batch; one with a quota alone; and one
    # without, which has spent.
    for number, (quota, used) in enumerate(((1000, 300), (500, None), ("NULL", 70))):
        run_statement(
            location,
            "INSERT INTO keys (id, name, tags, sha256, hint, admin, status, quota_units, "
            "fallback_models, response_cache, created_at, version, sequence) VALUES "
            f"('key_{number}', 'k{number}', '[]', '{number}', 'sk-', false, 'enabled', {quota}, "
            f"'[]', true, 1700000000, {number + 1}, {number + 1})",
        )
        if used is not None:
            run_statement(location, f"INSERT INTO key_usage VALUES ('key_{number}', {used})")
    for key, held in ((0, 150), (2, 20)):
        run_statement(
            location,
            "INSERT INTO batches (id, upstream, key_id, created_at, held_units, lines, "
            f"settled_lines, sequence) VALUES ('msgbatch_{key}', 'u', 'key_{key}', 1700000000, "
            f"{held}, 1, 0, {key + 1})",
        )
        run_statement(
            location,
            "INSERT INTO batch_lines VALUES "
            f"('msgbatch_{key}', 'line', 'claude-opus-4-5', {held}, false)",
        )
    # What it had not booked when it ended: without a checksum, an account or a lease.
    folder = tmp_path / "journal"
    folder.mkdir()
    lines = (
        f'{{"end":{{"request_id":"req_{key}","at_ms":1700000000000,"key_id":"key_{key}",'
        '"model":"m","requested_model":"m","status":200,"cost_units":25,"interrupted":false}}\n'
        for key in (0, 2)
    )
    (folder / "usage-000000000001.jsonl").write_text("".join(lines))

    async def work() -> None:
        async with await Store.open(location, exclusive=True) as store:
            journal = Journal.open(folder)
            assert await Mover(journal, store.usage).flush(20)
            journal.close()
            records = await store.keys.list()
            quotas = [limit for key in records if (limit := quota_limit(key)) is not None]
            specs = [
                AccountSpec(account_id=account_id(quota, 0), limit=quota, span=TOTAL)
                for quota in quotas
            ]
            first, second = await store.accounts.whole(specs)
            assert (first.limit_units, first.spent, first.held) == (1000, 325, 150)
            assert (second.limit_units, second.spent, second.held) == (500, 0, 0)
            assert {key.id: key.used_units for key in records} == {
                "key_0": 325,
                "key_1": 0,
                "key_2": 95,
            }
            changes = await store.batches.delete("msgbatch_0")
            assert [change.released_units for change in changes] == [150]
            assert await store.batches.delete("msgbatch_2") == ()
            assert (await store.accounts.whole(specs))[0].held == 0

    asyncio.run(work())


def test_a_file_is_copied_before_its_tables_change(tmp_path: Path) -> None:
    make_earlier(tmp_path)
    run_statement(tmp_path, "INSERT INTO key_usage (key_id, used_units) VALUES ('key_a', 42)")
    open_and_close(tmp_path)
    copy = tmp_path / f"{FILE_NAME}.backup-0001"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [FILE_NAME, f"{FILE_NAME}.lock", copy.name]
    )
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT used_units FROM key_usage").fetchall() == [(42,)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)


def test_a_new_file_and_one_that_is_up_to_date_are_not_copied(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    open_and_close(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, f"{FILE_NAME}.lock"]


def test_a_step_that_fails_leaves_everything_as_it_was(location: Path | str) -> None:
    make_earlier(location)
    # In the way of the second table of the step: the first one must go again.
    run_statement(location, "CREATE TABLE batch_lines (mine TEXT)")
    before = tables(location)
    with pytest.raises(ConfigurationError, match="batch_lines"):
        open_and_close(location)
    assert tables(location) == before
    assert revision(location) == "0001"
    run_statement(location, "DROP TABLE batch_lines")
    open_and_close(location)
    assert revision(location) == HEAD


@pytest.mark.parametrize("exclusive", [False, True])
def test_tables_do_not_change_under_a_running_gateway(
    location: Path | str, exclusive: bool
) -> None:
    make_earlier(location)

    async def open_beside() -> str:
        lock = location_of(location).lock()
        assert await lock.take()
        with pytest.raises(ConfigurationError) as caught:
            await Store.open(location, exclusive=exclusive, lock_wait_seconds=0)
        await lock.release()
        return str(caught.value)

    assert "a gateway" in asyncio.run(open_beside())
    assert revision(location) == "0001"


def test_a_tool_waits_for_the_one_that_is_changing_the_tables(location: Path | str) -> None:
    make_earlier(location)

    async def open_beside() -> None:
        place = location_of(location)
        lock = place.lock()
        assert await lock.take()
        opening = asyncio.get_running_loop().create_task(Store.open(location, exclusive=True))
        await asyncio.wait([opening], timeout=0.2)
        assert not opening.done()
        await lock.release()
        await (await opening).close()

    asyncio.run(open_beside())
    assert revision(location) == HEAD


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("9999", "was written by a newer version of Apertis"),
        ("0000", "no step leads to the tables of this version"),
        ("ae1027a6acf", "belongs to another program"),
    ],
)
def test_a_form_that_this_version_does_not_know_is_refused_and_left_alone(
    location: Path | str, number: str, told: str
) -> None:
    open_and_close(location)
    run_statement(location, f"UPDATE alembic_version SET version_num = '{number}'")
    with pytest.raises(ConfigurationError, match=told) as caught:
        open_and_close(location)
    assert "\n" not in str(caught.value)
    assert revision(location) == number


def test_tables_of_other_programs_may_stand_beside_ours_in_postgresql(
    postgres_schema: str,
) -> None:
    run_statement(postgres_schema, "CREATE TABLE songs (title TEXT)")
    open_and_close(postgres_schema)
    assert {"songs", "keys"} <= tables(postgres_schema)


@pytest.mark.parametrize("is_new", [True, False])
def test_opening_a_store_loads_nothing_that_it_does_not_need(tmp_path: Path, is_new: bool) -> None:
    if not is_new:
        open_and_close(tmp_path)
    program = (
        "import asyncio, sys\n"
        "from apertis.gateway.store.database import Store\n"
        "async def main():\n"
        "    async with await Store.open(sys.argv[1], exclusive=True):\n"
        "        spared = {'alembic', 'mako', 'asyncpg', 'sqlalchemy.orm'}\n"
        "        print(sorted(spared & sys.modules.keys()))\n"
        "asyncio.run(main())\n"
    )
    command_line = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command_line, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
