"""The table of docs/safety.md: no row is missing, and each is held by a test that names it."""

from __future__ import annotations

import json

import pytest

from facts import safety

#: What is asked of this part of the product; the others are about sharding, and about ports that disagree.
ASKED = (*range(1, 5), *range(6, 19), 20, *range(23, 39))


def test_no_row_is_missing() -> None:
    assert tuple(row.number for row in safety.rows()) == ASKED


@pytest.mark.parametrize("number", ASKED)
def test_a_row_has_a_test_that_names_it(number: int) -> None:
    assert safety.tests_of(number)


def test_every_number_that_a_test_names_is_a_row() -> None:
    assert {number for test in safety.marked() for number in test.rows} <= set(ASKED)


def test_the_clauses_of_the_rows_are_law() -> None:
    index = json.loads((safety.ROOT / "spec" / "index.json").read_text("utf-8"))
    known = {clause["id"] for clause in index["clauses"] if clause["status"] != "withdrawn"}
    assert {clause for row in safety.rows() for clause in row.clauses} <= known


def test_no_cell_is_empty() -> None:
    table = safety.table()
    assert all(len(cells) == len(table.head) and all(cells) for cells in table.rows)
