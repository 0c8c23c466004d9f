"""Stored verdicts: what the judge said of each published class, and of ours, kept to be read, and to be reached again.

One file per class, ``conformance/verdicts/<distribution>-<version>-<class>.json``, or for one of ours and each of its
revisions ``ppsf-<revision>-<class>.json``; written by ``ppsf-conformance verdicts --write`` and by nothing else. The
same code, seed and releases give the same file, byte for byte, but for the versions of what it ran on.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import jsonschema

from ppsf_conformance import following, peers
from ppsf_conformance.name_map import parsed, shipped_maps
from ppsf_conformance.published import Published
from ppsf_conformance.report import codec
from ppsf_conformance.report.model import Implementation as Judged
from ppsf_conformance.report.model import Verdict

SCHEMA_NAME: Literal["verdict-1"] = "verdict-1"
_HERE = Path(__file__).resolve().parent
#: In a checkout, and in an installed package.
FOLDERS = (_HERE.parent / "verdicts", _HERE / "_verdicts")
#: The distribution of our own classes.
OURS = "ppsf"
#: What a stored verdict was reached with.
PROFILE, SEED, COMBINATIONS = "quick", 0, 30


@dataclass(frozen=True)
class Subject:
    """What a verdict is stored of: a class of a release, or one of ours with the revision that it is judged by."""

    target: str
    revision: str = ""

    @property
    def file(self) -> str:
        """The name of its file."""
        _, cls, release = parsed(self.target)
        if release is not None:
            return f"{release.distribution}-{release.version}-{cls}.json"
        if not self.revision:
            raise ValueError(f"{self.target!r} names no release; write it as {peers.SYNTAX}")
        return f"{OURS}-{self.revision}-{cls}.json"


def published() -> tuple[Subject, ...]:
    """Every class of ``peers.toml``, in its order."""
    return tuple(map(Subject, peers.targets()))


def ours() -> tuple[Subject, ...]:
    """Our own classes, each with every revision of its name map."""
    maps = [names for names in shipped_maps().values() if names.distribution == OURS]
    return tuple(Subject(names.target, revision) for names in maps for revision in names.revisions)


@dataclass(frozen=True)
class ClauseEntry:
    """One clause: what was said of it, and where it fails why, and on which smallest problem."""

    verdict: Verdict
    title: str
    errata: tuple[str, ...] = ()
    message: str = ""
    minimal: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Followed:
    """What came of following it with its errata in force (``ppsf-conformance follow``)."""

    combinations: int
    left_out: int
    steps: int
    deviations: int
    not_drawn: Mapping[str, str]


@dataclass(frozen=True)
class Stored:
    """One file. ``class_`` (JSON: ``class``) is ``module:Class``; ``errata`` are those that some clause cites."""

    distribution: str
    version: str
    class_: str
    name: str
    revision: str
    profile: str
    seed: int
    problems: int
    steps: int
    versions: Mapping[str, str]
    clauses: Mapping[str, ClauseEntry]
    errata: tuple[str, ...]
    followed: Followed | None = None
    schema: Literal["verdict-1"] = field(default=SCHEMA_NAME)

    @property
    def subject(self) -> Subject:
        """What it is about."""
        if self.distribution == OURS:
            return Subject(self.class_, self.revision)
        return Subject(f"{self.class_}@{self.distribution}=={self.version}")

    def to_json(self) -> str:
        """The text of the file.

        Raises:
            jsonschema.ValidationError: it is not valid.
        """
        data = codec.encode(self)
        _validator().validate(data)
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


@cache
def _validator() -> Any:
    schema = json.loads((_HERE / "report" / "verdict.schema.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def folder() -> Path:
    """Where the files are."""
    return next((found for found in FOLDERS if found.is_dir()), FOLDERS[0])


def read(subject: Subject) -> Stored:
    """The stored verdict of a subject.

    Raises:
        ValueError: there is none, or it is not valid.
    """
    path = folder() / subject.file
    try:
        data = json.loads(path.read_text("utf-8"))
        _validator().validate(data)
    except FileNotFoundError as error:
        raise ValueError(f"there is no stored verdict of {subject.target}; write it with: verdicts --write") from error
    except (ValueError, jsonschema.ValidationError) as error:
        raise ValueError(f"{path} is no stored verdict: {error}") from error
    return codec.decode(Stored, data)


def all_stored(subjects: Iterable[Subject]) -> tuple[Stored, ...]:
    """The stored verdicts of those that have one, in their order."""
    return tuple(read(subject) for subject in subjects if (folder() / subject.file).is_file())


# ------------------------------------------------------------------------------------------------------------- making


def made(implementation: Published, judged: Judged, followed: following.Following | None) -> Stored:
    """What is to be stored of a judgement with :data:`PROFILE` and :data:`SEED`."""
    clauses = {
        clause.id: ClauseEntry(
            clause.verdict,
            clause.title,
            clause.errata,
            *((clause.message, clause.minimal) if clause.verdict == "fail" else ()),
        )
        for clause in judged.clauses
    }
    return Stored(
        distribution=implementation.names.distribution,
        version=implementation.version,
        class_=implementation.names.target,
        name=implementation.name,
        revision=implementation.capabilities.revision,
        profile=PROFILE,
        seed=SEED,
        problems=judged.summary.problems,
        steps=judged.summary.steps,
        versions=_versions(),
        clauses=clauses,
        errata=tuple(sorted({identifier for clause in clauses.values() for identifier in clause.errata})),
        followed=None if followed is None else _followed(followed),
    )


def _followed(found: following.Following) -> Followed:
    reasons = {**found.not_yet, **found.beside}
    return Followed(
        found.combinations, found.left_out, found.steps, len(found.deviations), dict(sorted(reasons.items()))
    )


def _versions() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("torch", "numpy", "hypothesis")}
    return {"python": platform.python_version(), **packages}


# ---------------------------------------------------------------------------------------------------------- comparing


def differences(stored: Stored, judged: Judged) -> Iterator[str]:
    """Where a new judgement contradicts a stored one, one line each; what it did not reach contradicts nothing."""
    for clause in judged.clauses:
        before = stored.clauses.get(clause.id)
        if clause.verdict == "not-run":
            continue
        if before is None:
            yield f"{clause.id} is {clause.verdict}, and has no stored verdict"
        elif clause.verdict != before.verdict and not _looked_less(clause.verdict, before):
            cited = f" ({', '.join(clause.errata)})" if clause.errata else ""
            yield f"{clause.id} is {clause.verdict}{cited}, stored {before.verdict}: {clause.message}".rstrip(": ")
        elif unknown := set(clause.errata) - set(before.errata):
            yield f"{clause.id} cites {', '.join(sorted(unknown))}, which the stored verdict does not"


def _looked_less(verdict: Verdict, before: ClauseEntry) -> bool:
    """Whether a clause passes only because fewer problems were drawn than met its erratum."""
    return verdict == "pass" and before.verdict == "erratum"


def write(stored: Iterable[Stored], told: Callable[[Path], None] = lambda path: None) -> None:
    """Write files."""
    FOLDERS[0].mkdir(exist_ok=True)
    for one in stored:
        path = FOLDERS[0] / one.subject.file
        path.write_text(one.to_json(), "utf-8")
        told(path)
