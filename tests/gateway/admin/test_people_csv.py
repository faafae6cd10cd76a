"""Tables of people, as spreadsheets save them."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.admin.people_csv import Problem, read_people
from apertis.gateway.admin.people_import import MAX_ROWS, PersonRow

HEAD = "name,email,group,monthly_usd,key,models,tags\n"
ANN = PersonRow(
    name="Ann",
    email="ann@example.com",
    group="research",
    monthly_usd=Decimal("12.50"),
    key_name="ann-laptop",
    models=("claude-haiku-*", "claude-sonnet-5-5"),
    tags=("ci", "team a"),
)
LINE = (
    'Ann,ann@example.com,research,12.50,ann-laptop,"claude-haiku-*, claude-sonnet-5-5",ci|team a\n'
)


def read(text: str, encoding: str = "utf-8") -> tuple[PersonRow, ...]:
    people = read_people(text.encode(encoding))
    assert people.problems == ()
    return people.rows


def problems(text: str) -> list[tuple[int, str | None, str]]:
    return [tuple(problem) for problem in read_people(text.encode()).problems]  # type: ignore[misc]


def test_a_row_says_all_that_there_is_of_a_person() -> None:
    assert read(HEAD + LINE) == (ANN,)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("hint", [False, True])
def test_a_spreadsheets_ways_to_save_are_known(encoding: str, separator: str, hint: bool) -> None:
    output = io.StringIO()
    writer = csv.writer(output, delimiter=separator)
    writer.writerow(["Name", "E-Mail", "Team", "Monthly budget", "Key name", "Models", "Tags"])
    writer.writerow(next(csv.reader([LINE])))
    text = output.getvalue()
    if hint:
        text = f"sep={separator}\r\n{text}"
    people = read_people(text.encode(encoding))
    assert people.problems == ()
    assert people.rows == (ANN,)
    assert people.lines == ((3,) if hint else (2,))


def test_each_person_gets_a_key_where_no_column_says_otherwise() -> None:
    assert [row.key_name for row in read("name\nAnn\nBob\n")] == ["Ann", "Bob"]
    assert [row.key_name for row in read("name,key\nAnn,\nBob,bob-ci\n")] == [None, "bob-ci"]


def test_an_empty_cell_says_nothing_and_an_empty_line_is_none() -> None:
    text = 'name,email,models\n\nAnn,,\n , ,\n"Bob\nB",,\nCleo\n'
    people = read_people(text.encode())
    assert people.problems == ()
    assert [row.name for row in people.rows] == ["Ann", "Bob\nB", "Cleo"]
    assert people.lines == (3, 5, 7)
    assert {(row.email, row.models) for row in people.rows} == {(None, None)}


names = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=9
).map(lambda text: f"a{text}b")


@given(
    st.lists(st.tuples(names, names), min_size=1, max_size=5, unique_by=lambda row: row[0]),
    st.sampled_from(",;\t"),
)
def test_what_is_written_is_read(rows: list[tuple[str, str]], separator: str) -> None:
    output = io.StringIO()
    writer = csv.writer(output, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(["name", "group"])
    writer.writerows(rows)
    people = read_people(output.getvalue().encode())
    assert people.problems == ()
    assert [(row.name, row.group) for row in people.rows] == rows


@pytest.mark.parametrize(
    ("cell", "dollars"),
    [
        *(("50", "50"), ("12.5", "12.5"), ("$50", "50"), ("50 USD", "50"), ("US$ 7", "7")),
        *(("12,50", "12.50"), ("1,000.50", "1000.50"), ("1.000,50", "1000.50"), ("0", "0")),
        *(("1 000", "1000"), ("1'000.5", "1000.5"), ("0.000002", "0.000002"), ("1000", "1000")),
    ],
)
def test_an_amount_is_read_as_people_write_it(cell: str, dollars: str) -> None:
    [row] = read(f'name,budget\nAnn,"{cell}"\n')
    assert row.monthly_usd == Decimal(dollars)


@pytest.mark.parametrize(
    "cell",
    [
        "-5",
        "five",
        "1,000",
        "1.000",
        "1e3",
        "NaN",
        "Infinity",
        "5 EUR",
        "$",
        "1,2,3",
        "\u0665",
        "=5",
    ],
)
def test_what_may_be_another_amount_is_not_guessed_at(cell: str) -> None:
    [(line, column, message)] = problems(f'name,budget\nAnn,"{cell}"\n')
    assert (line, column) == (2, "monthly_usd")
    assert message == f"is '{cell}': expected US dollars such as 50 or 12.50"


@pytest.mark.parametrize(
    ("content", "line", "column", "said"),
    [
        (b"", 1, None, "the file is empty"),
        (b"name\n", 1, None, "nobody is below"),
        (b"email\nx@y\n", 1, "name", "is missing"),
        (b"name,colour\nAnn,red\n", 1, None, "no column 'colour': expected name, email"),
        (b"name,Name\nAnn,Bob\n", 1, "name", "is there twice"),
        (b"name\nAnn\nB\xf6b\n", 3, None, "not UTF-8"),
        (b'name\n"Ann\n', 2, None, "cannot be read as CSV"),
        (b"name\n" + b"a\n" * (MAX_ROWS + 1), 1, None, "10001 people, expected 10000"),
    ],
)
def test_a_file_that_is_none_is_told_in_a_line(
    content: bytes, line: int, column: str | None, said: str
) -> None:
    people = read_people(content)
    assert people.rows == ()
    [problem] = people.problems
    assert (problem.line, problem.column) == (line, column)
    assert said in problem.message


def test_all_that_is_wrong_is_told_at_once_with_its_line() -> None:
    text = "name,budget\nAnn,x\n,5\nBob,7\nCleo,8,9\nBob,1\n,y\n"
    people = read_people(text.encode())
    assert [row.name for row in people.rows] == ["Bob"]
    assert [(problem.line, problem.column) for problem in people.problems] == [
        *((2, "monthly_usd"), (3, "name"), (5, None), (6, "name"), (7, "name")),
        (7, "monthly_usd"),
    ]
    assert people.problems[2] == Problem(5, None, "3 cells, expected 2 at most")
    assert people.problems[3].message == "is 'Bob', as in line 4 already"


@given(st.binary(max_size=60) | st.text(st.sampled_from('name,;\t\r\n"x1')).map(str.encode))
def test_no_file_is_a_crash(content: bytes) -> None:
    people = read_people(content)
    assert people.rows or people.problems
    assert len(people.rows) == len(people.lines)
