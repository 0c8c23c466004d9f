"""What the sources say about clauses, found by parsing them, never by importing them."""

from __future__ import annotations

import ast
import math
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.trace.clauses import CITED, CLAUSE_ID

COMMENT = re.compile(r"(?:#|//) clause: (PPSF-[A-Z]-\d{3})(?: ([0-9a-f]{8}))?\s*$")
INCLUDE = re.compile(r"`{3,}\{include\}\s+(\S+)")
TESTS = ("tests", "conformance/suite")
OWN_TESTS = "tests/tools/"  # about the tools: what is marked there holds no clause
Assignment = ast.Assign | ast.AnnAssign
ID_LIKE = re.compile(r"PPSF-[A-Z]-\d{3}")


#: Arguments of the classes of the product that are no options of a revision.
BESIDE = ("revision", "compile", "process_group")


@dataclass(frozen=True)
class Mark:
    """An id that a source names, and the hash beside it (None: it takes none; empty: not pinned yet)."""

    id: str
    path: str
    line: int
    sha8: str | None = None


class Sources:
    """Files below a root, each read and parsed at most once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trees: dict[str, ast.Module] = {}

    def files(self, folder: str, pattern: str) -> list[str]:
        """Paths relative to the root, sorted; `folder` may be missing."""
        found = sorted((self.root / folder).rglob(pattern)) if (self.root / folder).is_dir() else []
        return [path.relative_to(self.root).as_posix() for path in found]

    def lines(self, path: str) -> list[str]:
        """The lines of a file."""
        return (self.root / path).read_text("utf-8").splitlines()

    def tree(self, path: str) -> ast.Module:
        """The syntax tree of a Python file."""
        if path not in self._trees:
            self._trees[path] = ast.parse((self.root / path).read_text("utf-8"))
        return self._trees[path]

    def calls(self, folder: str, name: str) -> Iterator[tuple[str, ast.Call]]:
        """All calls of a function or method called `name` in the Python files below `folder`."""
        for path in self.files(folder, "*.py"):
            for node in ast.walk(self.tree(path)):
                if isinstance(node, ast.Call) and _last_name(node.func) == name:
                    yield path, node


def reference_functions(sources: Sources) -> list[Mark]:
    """``@clause("PPSF-D-003", "sha8")`` on functions of the reference."""
    found = []
    for path in sources.files("ppsf_ref", "*.py"):
        for node in ast.walk(sources.tree(path)):
            if isinstance(node, ast.FunctionDef):
                found += [mark for decorator in node.decorator_list for mark in _pinned(decorator, path)]
    return found


def _pinned(decorator: ast.expr, path: str) -> list[Mark]:
    if not isinstance(decorator, ast.Call) or _last_name(decorator.func) != "clause":
        return []
    texts = _strings(decorator.args)
    return [Mark(texts[0], path, decorator.lineno, texts[1] if len(texts) > 1 else "")] if texts else []


def product_comments(sources: Sources) -> list[Mark]:
    """``# clause: PPSF-D-003 sha8`` comments of the product, and ``// clause: ...`` where it is C++."""
    return [
        Mark(match[1], path, number, match[2] or "")
        for pattern in ("*.py", "*.cpp", "*.hpp")
        for path in sources.files("ppsf_fast", pattern)
        for number, line in enumerate(sources.lines(path), 1)
        if (match := COMMENT.search(line))
    ]


def test_marks(sources: Sources) -> list[Mark]:
    """Ids in ``pytest.mark.clause(...)``, and in tables of ``parametrize`` with an argument ``clause``."""
    found = []
    for folder in TESTS:
        for path, call in sources.calls(folder, "clause"):
            if isinstance(call.func, ast.Attribute) and _last_name(call.func.value) == "mark":
                found += [Mark(text, path, call.lineno) for text in _strings(call.args)]
        for path, call in sources.calls(folder, "parametrize"):
            if "clause" in _argument_names(call):
                found += [Mark(text, path, line) for text, line in _table_ids(call, sources.tree(path))]
    return [mark for mark in found if not mark.path.startswith(OWN_TESTS)]


def _argument_names(call: ast.Call) -> list[str]:
    constants = [node.value for arg in call.args[:1] for node in ast.walk(arg) if isinstance(node, ast.Constant)]
    return [name.strip() for text in constants if isinstance(text, str) for name in text.split(",")]


def _table_ids(call: ast.Call, module: ast.Module) -> Iterator[tuple[str, int]]:
    """Ids in the arguments of a call, and in the module's constants that it names."""
    names = {node.id for arg in call.args for node in ast.walk(arg) if isinstance(node, ast.Name)}
    constants = [node.value for node in module.body if _assigned(node) & names and isinstance(node, Assignment)]
    for part in [*call.args, *constants]:
        for node in ast.walk(part) if part else ():
            if isinstance(node, ast.Constant) and ID_LIKE.fullmatch(str(node.value)):
                yield str(node.value), node.lineno


def _assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def mutants(sources: Sources) -> list[Mark]:
    """Registered mutants: ``Mutant("...", clause="PPSF-D-003", ...)`` or the id in second place."""
    found = []
    for path, call in sources.calls("conformance/ppsf_conformance", "Mutant"):
        named = [keyword.value for keyword in call.keywords if keyword.arg == "clause"]
        texts = [text for text in _strings(named or call.args[1:2]) if ID_LIKE.fullmatch(text)]
        found += [Mark(text, path, call.lineno) for text in texts]
    return found


def citations(sources: Sources, folder: str, pattern: str) -> list[Mark]:
    """Every mention of a clause or an erratum in the text of the files."""
    return [
        Mark(text, path, number)
        for path in sources.files(folder, pattern)
        for number, line in enumerate(sources.lines(path), 1)
        for text in CITED.findall(line)
    ]


def includes(sources: Sources) -> list[tuple[str, int, str]]:
    """``{include}`` directives of the specification's pages: page, line, included file (from the root)."""
    found = []
    for page in sources.files("docs/spec", "*.md"):
        for number, line in enumerate(sources.lines(page), 1):
            if match := INCLUDE.match(line):
                found.append((page, number, posixpath.normpath(f"{posixpath.dirname(page)}/{match[1]}")))
    return found


def signature_defaults(sources: Sources, path: str, name: str) -> dict[str, object]:
    """Names and default values of the options of class `name`: its constructor's arguments, but those in `BESIDE`."""
    arguments = _constructor(sources, path, name)
    values = [*arguments.defaults, *(node for node in arguments.kw_defaults if node)]
    names = [*positional(sources, path, name), *(argument.arg for argument in arguments.kwonlyargs)]
    defaults = dict(zip(names, map(_literal, values), strict=True))
    return {key: value for key, value in defaults.items() if key not in BESIDE}


def positional(sources: Sources, path: str, name: str) -> list[str]:
    """The positional arguments with a default of the constructor of class `name`, in order."""
    arguments = _constructor(sources, path, name)
    return [argument.arg for argument in arguments.args[len(arguments.args) - len(arguments.defaults) :]]


def _constructor(sources: Sources, path: str, name: str) -> ast.arguments:
    methods = [node for node in _class(sources, path, name).body if isinstance(node, ast.FunctionDef)]
    return next(node for node in methods if node.name == "__init__").args


def field_defaults(sources: Sources, path: str, name: str) -> dict[str, object]:
    """Names and default values of the fields of dataclass `name`; fields without default are left out."""
    return {
        node.target.id: _literal(node.value)
        for node in _class(sources, path, name).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }


def _class(sources: Sources, path: str, name: str) -> ast.ClassDef:
    return next(n for n in sources.tree(path).body if isinstance(n, ast.ClassDef) and n.name == name)


def _literal(node: ast.expr) -> object:
    try:
        value: object = ast.literal_eval(node)
    except ValueError:
        return math.inf if ast.unparse(node) == "math.inf" else ast.unparse(node)
    return list(value) if isinstance(value, tuple) else value


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _strings(nodes: Iterable[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def well_formed(identifier: str) -> bool:
    """Whether an id follows the grammar of clause ids."""
    return CLAUSE_ID.fullmatch(identifier) is not None
