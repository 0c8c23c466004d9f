"""What the packages say when they refuse something, read from the sources: no list of messages is kept anywhere."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.trace.scan import COMMENT, Sources

#: Exceptions that speak of a mistake of ours, not of the caller.
INTERNAL = frozenset({"AssertionError", "StopIteration", "AttributeError", "KeyError"})
#: The end of a sentence with another one behind it.
SENTENCES = re.compile(r"(?<=[.)])\s+(?=[A-Z])")
#: Longer expressions between braces say nothing to a reader.
LONGEST = 24
#: A part of a message that is the value of a constant.
CONSTANT = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
Function = ast.FunctionDef | ast.AsyncFunctionDef
SILENT = ("", "", ast.Constant(""))


@dataclass(frozen=True, order=True)
class Message:
    """A message with its variable parts in braces, the exception or warning, where it is raised, and the clause."""

    text: str
    kind: str
    path: str
    place: str
    clause: str = ""

    @property
    def reason(self) -> str:
        """What was wrong and what is allowed: all but the last sentence."""
        return " ".join(self._sentences[:-1]) or self.text

    @property
    def advice(self) -> str:
        """What to do: the last sentence, if it is not the only one."""
        return self._sentences[-1] if len(self._sentences) > 1 else ""

    @property
    def _sentences(self) -> list[str]:
        found = SENTENCES.split(self.text)
        return found if len(found) > 1 else [part for part in self.text.rpartition(": ")[::2] if part]


def messages(sources: Sources, package: str) -> list[Message]:
    """All messages of a package."""
    paths = sources.files(package, "*.py")
    written, constants = _written_by_functions(sources, paths), _constants(sources, paths)
    return sorted({message for path in paths for message in _of_file(sources, path, written, constants)})


def _of_file(sources: Sources, path: str, written: dict[str, str], constants: dict[str, str]) -> Iterator[Message]:
    tree, lines = sources.tree(path), sources.lines(path)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise | ast.Call):
            continue
        kind, prefix, argument = _spoken(node)
        text = CONSTANT.sub(lambda name: constants.get(name[1], name[0]), prefix + template(argument, written))
        if " " in text and kind not in INTERNAL:
            around = _around(tree, node.lineno)
            names = ".".join(one.name for one in around)
            yield Message(text, kind, path, names, _clause(lines, around, node.lineno))


def _spoken(node: ast.Raise | ast.Call) -> tuple[str, str, ast.expr]:
    """The exception or warning, what is put before its message, and the expression of that."""
    if isinstance(node, ast.Raise):
        if isinstance(node.exc, ast.Call) and node.exc.args:
            return ast.unparse(node.exc.func).rpartition(".")[2], "", node.exc.args[0]
        return SILENT
    function = ast.unparse(node.func)
    if function == "warnings.warn":
        return ast.unparse(node.args[1]) if len(node.args) > 1 else "UserWarning", "", node.args[0]
    # What a configuration has wrong is noted with the path of its key, and raised together.
    if function.endswith(".note") and len(node.args) == 2:
        return "ConfigError", "{path}", node.args[1]
    if function == "Mistake" and len(node.args) == 2:
        return "ConfigError", "", node.args[1]
    return SILENT


def template(node: ast.expr, written: dict[str, str]) -> str:
    """The text of an expression, with names or dots in braces for what is not known before; empty if nothing is."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, written) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        inside = ast.unparse(node.value)
        return "{" + (inside if len(inside) <= LONGEST and "'" not in inside else "…") + "}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left, written) + template(node.right, written)
    if isinstance(node, ast.Call):
        return written.get(ast.unparse(node.func).rpartition(".")[2], "")
    return ""


def _written_by_functions(sources: Sources, paths: Sequence[str]) -> dict[str, str]:
    """Functions that do nothing but put a message together, with its template."""
    found = {}
    for path in paths:
        for node in ast.walk(sources.tree(path)):
            if not isinstance(node, Function) or len(node.body) > 2:
                continue
            last = node.body[-1]
            if isinstance(last, ast.Return) and isinstance(last.value, ast.JoinedStr):
                found[node.name] = template(last.value, {})
    return found


def _constants(sources: Sources, paths: Sequence[str]) -> dict[str, str]:
    """Constants of modules with their values, but for names that mean several things."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        for node in sources.tree(path).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                found[name].add(str(node.value.value) if isinstance(node.value, ast.Constant) else f"{{{name}}}")
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _around(tree: ast.Module, line: int) -> list[Function | ast.ClassDef]:
    """The definitions around a line, the outermost first."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, Function | ast.ClassDef) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]


def _clause(lines: Sequence[str], around: Sequence[Function | ast.ClassDef], line: int) -> str:
    """The clause that is named last before a line, inside of the function around it or directly above that."""
    functions = [node for node in around if isinstance(node, Function)]
    if not functions:
        return ""
    outer = functions[0]
    first = min([outer.lineno, *(decorator.lineno for decorator in outer.decorator_list)])
    while first > 1 and lines[first - 2].lstrip().startswith("#"):
        first -= 1
    found = [match[1] for text in lines[first - 1 : line] if (match := COMMENT.search(text))]
    return found[-1] if found else ""
