"""Writing the hash of a clause beside the places that implement it."""

from __future__ import annotations

import re
from collections.abc import Container

from tools.trace.rules_code import pinned_marks
from tools.trace.scan import Mark
from tools.trace.tree import Tree


def renew(tree: Tree, ids: Container[str]) -> list[str]:
    """Pin every mark of the given ids to the present text; return what was done, a line each."""
    return [_write(tree, mark) for mark in _stale(tree) if mark.id in ids]


def fill(tree: Tree) -> list[str]:
    """Pin the marks that have no hash yet; return what was done, a line each."""
    return [_write(tree, mark) for mark in _stale(tree) if not mark.sha8]


def _stale(tree: Tree) -> list[Mark]:
    return [m for m in pinned_marks(tree) if m.id in tree.by_id and m.sha8 != tree.by_id[m.id].sha8]


def _write(tree: Tree, mark: Mark) -> str:
    sha8 = tree.by_id[mark.id].sha8
    path = tree.root / mark.path
    lines = path.read_text("utf-8").splitlines(keepends=True)
    lines[mark.line - 1] = repinned(lines[mark.line - 1], mark.id, sha8)
    path.write_text("".join(lines), "utf-8")
    return f"{mark.path}:{mark.line}: {mark.id} {mark.sha8 or 'not pinned'} -> {sha8}"


def repinned(line: str, identifier: str, sha8: str) -> str:
    """A line of source with the hash after `identifier` set, in a decorator or in a comment."""
    decorator = re.sub(rf'("{identifier}")(,\s*"[0-9a-f]*")?', rf'\g<1>, "{sha8}"', line)
    return re.sub(rf"((?:#|//) clause: {identifier})( [0-9a-f]{{8}})?", rf"\g<1> {sha8}", decorator)
