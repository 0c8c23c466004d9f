"""PTX as text, and as instructions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Threads that the hardware moves together.
WARP = 32
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
#: Lines that only debuggers need.
_FOR_DEBUGGERS = re.compile(r"^\s*\.(loc|file)\b[^\n]*$", re.MULTILINE)
_HEAD = re.compile(r"\.(entry|func)\s+(?:\(([^)]*)\)\s*)?([\w$]+)\s*\(([^)]*)\)([^{;]*)([{;])")
_TABLE = re.compile(r"\.global\s+\.align\s+\d+\s+\.b(\d+)\s+([\w$]+)\[\d+\]\s*=\s*\{([^}]*)\}")
_LABEL = re.compile(r"([\w$]+):\s*")
_REGISTERS = re.compile(r"\.reg\s+\.(pred|[bsuf]\d+)\s+(.*)", re.DOTALL)
_OPERAND = re.compile(r"\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|[^,\s]+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        name: with its modifiers.
        operands: as they are written, vectors and addresses in their brackets.
        guard: the predicate under which it is executed; "": always.
        holds: what the predicate has to be.
        text: all of it, for messages.
    """

    name: str
    operands: tuple[str, ...]
    guard: str
    holds: bool
    text: str


@dataclass(slots=True)
class Function:
    """A kernel, or a function that one calls.

    Attributes:
        params: what it is given, in order: names and bits.
        result: name of what it returns, or "".
        code: its instructions.
        labels: where jumps lead.
        targets: where jumps by index lead.
        registers: the bits of each, 1 for a predicate, and its place among those of its width.
        stack: bytes that a thread has of its own.
    """

    name: str
    params: dict[str, int]
    result: str
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    registers: dict[str, tuple[int, int]] = field(default_factory=dict)
    stack: int = 0

    def count(self, bits: int) -> int:
        """How many registers of a width there are."""
        return sum(width == bits for width, _ in self.registers.values())


@dataclass(frozen=True, slots=True)
class Module:
    """What one kernel was compiled to.

    Attributes:
        entry: the kernel.
        functions: itself and those that it calls, by name.
        threads: in a program.
        tables: constants: bits of an element, and the elements.
    """

    entry: Function
    functions: dict[str, Function]
    threads: int
    tables: dict[str, tuple[int, tuple[int, ...]]]


def parse(text: str) -> Module:
    """Read what the compiler wrote."""
    text = _FOR_DEBUGGERS.sub("", _COMMENT.sub("", text))
    functions, entries = {}, []
    for head in _HEAD.finditer(text):
        kind, result, name, params, more, opens = head.groups()
        if opens == ";":  # declared here, written elsewhere
            continue
        function = Function(name, _params(params), "".join(_params(result or "")))
        _fill(function, text[head.end() : _closing(text, head.end())])
        functions[name] = function
        if kind == "entry":
            entries.append((function, int(_found(r"\.reqntid\s+(\d+)", more))))
    ((entry, threads),) = entries
    tables = {
        name: (int(bits), tuple(int(each, 0) for each in values.split(",")))
        for bits, name, values in _TABLE.findall(text)
    }
    return Module(entry, functions, threads, tables)


def members(vector: str) -> list[str]:
    """The registers of a vector, or the one register."""
    return [each.strip() for each in vector.strip("{}").split(",")]


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, (pattern, text)
    return found[1]


def _params(text: str) -> dict[str, int]:
    """Names and bits; of one in memory, which has several elements, the bits of one."""
    params = [each for each in text.split(",") if each.strip()]
    return {each.split()[-1].split("[")[0]: int(_found(r"\.[busf](\d+)\b", each)) for each in params}


def _closing(text: str, start: int) -> int:
    """Where the brace closes that was opened before `start`."""
    depth = 1
    for found in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    raise ValueError("a brace is not closed")


def _fill(function: Function, body: str) -> None:
    scopes: list[dict[str, str]] = [{}]
    for label, statement in _statements(body):
        if label:
            function.labels[label] = len(function.code)
        if statement == "{":
            scopes.append({})
        elif statement == "}":
            scopes.pop()
        elif statement.startswith(".reg"):
            _declare(function, statement, scopes[-1])
        elif statement.startswith(".branchtargets"):
            function.targets[label] = tuple(each.strip() for each in statement.split(None, 1)[1].split(","))
        elif statement.startswith(".local"):
            function.stack = int(_found(r"\[(\d+)\]", statement))
        elif statement and not statement.startswith("."):
            function.code.append(_instruction(statement, scopes))


def _statements(body: str) -> Iterator[tuple[str, str]]:
    """Each with the label before it, or ""; a label alone has the statement ""; braces are statements."""
    at, body = 0, body.strip()
    while at < len(body):
        if label := _LABEL.match(body, at):
            at = label.end()
            # One that is followed by another is alone; so is the last.
            if at == len(body) or _LABEL.match(body, at):
                yield label[1], ""
                continue
        end = at + 1 if body[at] in "{}" else body.index(";", at)
        yield label[1] if label else "", body[at:end].strip()
        at = end if body[at] in "{}" else end + 1
        while at < len(body) and body[at].isspace():
            at += 1


def _declare(function: Function, statement: str, scope: dict[str, str]) -> None:
    found = _REGISTERS.match(statement)
    assert found is not None, statement
    bits = 1 if found[1] == "pred" else int(found[1][1:])
    first = function.count(bits)
    for name in map(str.strip, found[2].split(",")):
        if "<" in name:
            stem, count = name[:-1].split("<")
            names = [f"{stem}{index}" for index in range(int(count))]
        else:
            names = [f"{name}@{len(function.registers)}"]  # there may be others of this name in other scopes
            scope[name] = names[0]
        function.registers.update({each: (bits, first + index) for index, each in enumerate(names)})
        first += len(names)


def _instruction(statement: str, scopes: list[dict[str, str]]) -> Instruction:
    guard, holds, rest = "", True, statement
    if statement[0] == "@":
        guard, rest = statement[1:].split(None, 1)
        holds, guard = guard[0] != "!", guard.lstrip("!")
    name, *more = rest.split(None, 1)
    operands = "".join(more)
    for scope in scopes:
        for plain, own in scope.items():
            operands = re.sub(rf"(?<![\w%$]){re.escape(plain)}(?![\w$])", own, operands)
    return Instruction(name, tuple(_OPERAND.findall(operands)), guard, holds, statement)
