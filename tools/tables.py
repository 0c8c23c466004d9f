"""Tables that README.md and the documentation share, made from the data that they are about.

``python -m tools.tables`` checks that README.md has them as they should be; ``--write`` puts them in. The documentation
shows the same ones with the directive ``{project-table}``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = "README.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
TARGET = re.compile(r"^([a-z]+):.*## (.*)$", re.MULTILINE)
ADAPTERS = "conformance/ppsf_conformance/adapters"


def _toml(root: Path, path: str) -> dict[str, Any]:
    return tomllib.loads((root / path).read_text("utf-8"))


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def classes(root: Path) -> str:
    """Each revision with the class that serves it."""
    maps = [
        _toml(root, path.relative_to(root).as_posix()) for path in sorted((root / ADAPTERS).glob("ppsf_fast*.toml"))
    ]
    served = {name: one["target"].partition(":")[2] for one in maps for name in one["revisions"]}
    rows = []
    for name, revision in _toml(root, "spec/revisions.toml")["revisions"].items():
        origin = revision["provenance"]
        released = f"{origin['package'].partition(':')[0]} {', '.join(origin['package_versions'])}".strip()
        default = ", the default" if revision["default"] else ""
        rows.append((f"`{name}`{default}", f"`{served[name]}`" if name in served else "-", released))
    return _markdown(("revision", "class of `ppsf_fast`", "published as"), rows)


def options(root: Path) -> str:
    """Every option: default, revisions, meaning."""
    revisions = _toml(root, "spec/revisions.toml")["revisions"]
    rows = []
    for name, facts in _toml(root, "spec/options.toml")["options"].items():
        having = [revision for revision, table in revisions.items() if name in table["options"]]
        default = facts["default"]
        shown = f"({', '.join(map(str, default))})" if isinstance(default, list) else str(default)
        rows.append(
            (f"`{name}`", shown, "all" if len(having) == len(revisions) else ", ".join(having), facts["meaning"])
        )
    return _markdown(("option", "default in 1.9", "revisions", "meaning"), rows)


def numbers(root: Path) -> str:
    """How much of everything there is."""
    clauses = json.loads((root / "spec/index.json").read_text("utf-8"))["clauses"]
    normative = [clause for clause in clauses if clause["status"] == "normative"]
    errata = [_toml(root, path.relative_to(root).as_posix()) for path in (root / "spec/errata").glob("*.toml")]
    releases = {(one["name"], one["versions"]) for erratum in errata for one in erratum["implementations"]}
    judged = [path for path in (root / "conformance/verdicts").glob("*.json") if not path.name.startswith("ppsf-")]
    stated = [
        row for path in (root / "spec/sentences").glob("*.toml") for row in tomllib.loads(path.read_text())["rows"]
    ]
    packages = len({name for name, _ in releases})
    rows = [
        ("clauses", f"{len(normative)} in {len({clause['area'] for clause in normative})} areas"),
        (
            "revisions, options",
            ", ".join(str(len(_toml(root, f"spec/{name}.toml")[name])) for name in ("revisions", "options")),
        ),
        ("statements of published documents", f"{len(stated)}, each answered"),
        ("published classes with a stored verdict", f"{len(judged)}, of {packages} packages"),
        ("errata", f"{len(errata)}, in {len(releases)} releases"),
    ]
    return _markdown(("", ""), rows)


def targets(root: Path) -> str:
    """The targets of make."""
    found = TARGET.findall((root / "Makefile").read_text("utf-8"))
    return _markdown(("command", "does"), [(f"`make {name}`", meaning) for name, meaning in found])


TABLES: Mapping[str, Callable[[Path], str]] = {
    "classes": classes,
    "options": options,
    "numbers": numbers,
    "targets": targets,
}


def filled(text: str, root: Path) -> str:
    """A text with every table in it as it should be."""

    def fresh(block: re.Match[str]) -> str:
        return f"{block[1]}{TABLES[block[2]](root)}{block[4]}"

    return BLOCK.sub(fresh, text)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Check or write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.tables", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the tables into {README}")
    given = parser.parse_args(arguments)
    path = root / README
    text = path.read_text("utf-8")
    fresh = filled(text, root)
    if given.write:
        path.write_text(fresh, "utf-8")
        return 0
    if text != fresh:
        print(f"{README}: its tables are not those of the data: run python -m tools.tables --write")
    return int(text != fresh)


if __name__ == "__main__":
    sys.exit(main())
