"""Name maps: where a class keeps what the law names, as a TOML file per implementation."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata, resources
from operator import attrgetter
from pathlib import Path
from typing import Any

import jsonschema
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from ppsf_conformance import peers
from ppsf_conformance.adapter import SHOWN, Capabilities
from ppsf_ref import Arithmetic
from ppsf_ref.clauses.errors import DOMAINS
from ppsf_ref.formats import FORMATS
from ppsf_ref.options import Revision, load_revision, options_of, revision_names

_ADAPTERS = resources.files("ppsf_conformance") / "adapters"


@dataclass(frozen=True)
class NameMap:
    """One implementation's names and what it declares of itself.

    Attributes:
        group, state: its names for the numbers of a group and the arrays of a parameter; what it does not store is
            left out.
        revisions: what it can be judged by, the default one first.
        first_k: what it calls the first step, 0 or 1.
        starts_in_eval_mode: whether train() has to be called before the first step.
        offers: its options, of all these revisions.
        lacks: by revision, options of which it takes the default only.
        late: numbers of a group that appear with the first step, and are 0 before.
        versions: releases of the distribution that the map fits.
        beside: arguments of its constructor that are no options of the revision, each with the reason.
        framework: what it is written for, ``"torch"`` or ``"optax"``.
        arguments: what it calls the options that it names otherwise than the law.
        whole: arrays of the statistics that it keeps in the shape of the parameter.
    """

    target: str
    name: str
    distribution: str
    versions: SpecifierSet
    group: Mapping[str, str]
    state: Mapping[str, str]
    capabilities: Capabilities
    revisions: tuple[str, ...]
    first_k: int
    starts_in_eval_mode: bool
    late: frozenset[str]
    offers: frozenset[str]
    lacks: Mapping[str, frozenset[str]]
    beside: Mapping[str, str]
    framework: str
    arguments: Mapping[str, str]
    whole: frozenset[str]

    def called(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options under the names that the implementation has for them."""
        return {self.arguments.get(name, name): value for name, value in options.items()}

    def meant(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the implementation under the names of the law."""
        back = {theirs: ours for ours, theirs in self.arguments.items()}
        return {back.get(name, name): value for name, value in arguments.items()}

    def under(self, revision: str) -> NameMap:
        """The map for judging by another revision.

        Raises:
            ValueError: the implementation does not claim to follow it.
        """
        if revision not in self.revisions:
            raise ValueError(f"{self.name} is judged by {', '.join(self.revisions)}, not by revision {revision!r}")
        lacks = self.lacks.get(revision, frozenset())
        options = (self.offers & load_revision(revision).options) - lacks
        return replace(self, capabilities=replace(self.capabilities, revision=revision, options=options, lacks=lacks))


@cache
def _schema() -> Any:
    return json.loads((_ADAPTERS / "name_map.schema.json").read_text("utf-8"))


def _faults(table: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a name map, one line each."""
    for error in jsonschema.Draft202012Validator(_schema()).iter_errors(table):
        place = ".".join(map(str, error.absolute_path))
        yield f"{place}: {error.message}" if place else error.message
    lacks = table.get("lacks", {})
    if isinstance(lacks, dict) and (unknown := [name for name in lacks if name not in table.get("revisions", [])]):
        yield f"lacks: {', '.join(map(repr, unknown))} is not among the revisions of the map"
    known_names = (
        ("options", DOMAINS),
        ("arguments", DOMAINS),
        ("serves", DOMAINS),
        ("revisions", revision_names()),
    )
    for key, known in known_names:
        given = table.get(key, [])
        if unknown := [name for name in given if name not in known] if isinstance(given, (list, dict)) else []:
            yield f"{key}: the law has no {', '.join(map(repr, unknown))}; it has {', '.join(sorted(known))}"


def _unread(names: NameMap) -> Iterator[str]:
    """What a revision keeps and the map does not say where, one line each: it would be read as 0, or as not kept."""
    for revision in names.revisions:
        law, own = load_revision(revision), names.under(revision)
        if missing := [name for name in law.scalars if name not in names.group]:
            yield f"group: it has no {', '.join(missing)}, which a group of revision {revision} keeps"
        if missing := [name for name in _arrays_of(law, own.capabilities) if name not in names.state]:
            yield f"state: it has no {', '.join(missing)}, which revision {revision} keeps under options of the map"


def _arrays_of(law: Revision, capabilities: Capabilities) -> Iterator[str]:
    """The arrays that a class with these options keeps of some parameter."""
    if options_of(law).use_schedulefree:
        yield "z"
    if law.estimate != "none":
        yield from ("x0", "s")
    if "factored" in capabilities.options:
        yield from ("v_row", "v_col")
    if "use_muon_pp" in capabilities.options:
        yield "rms_sq"
    if "use_schedulefree" in capabilities.options or not options_of(law).use_schedulefree:
        yield "m"


def read_name_map(text: str, origin: str) -> NameMap:
    """Parse a name map (``adapters/name_map.schema.json``).

    Raises:
        ValueError: it is no TOML, a key is missing, or something is named that the law does not have.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{origin} is not TOML: {error}") from error
    if faults := list(_faults(table)):
        raise ValueError(f"{origin} is not a name map (see docs/adapter.md):\n" + "\n".join(faults))
    revisions = tuple(table["revisions"])
    capabilities = Capabilities(
        revision=revisions[0],
        arithmetic=Arithmetic(**{key: FORMATS.get(value, value) for key, value in table["arithmetic"].items()}),
        dtypes=tuple(table["dtypes"]),
        options=frozenset(table["options"]),
        serves=frozenset(table.get("serves", ())),
        knows_bits=table["rounding_bits"] == "philox",
        always=table.get("always", {}),
        shows=frozenset(name for name in SHOWN if name in table["group"]),
        limits=frozenset(table.get("limits", ())),
    )
    names = NameMap(
        target=table["target"],
        name=table["name"],
        distribution=table["distribution"],
        versions=SpecifierSet(table.get("versions", "")),
        group=table["group"],
        state=table["state"],
        capabilities=capabilities,
        revisions=revisions,
        first_k=table.get("first_k", 1),
        starts_in_eval_mode=table.get("starts_in_eval_mode", False),
        late=frozenset(table.get("late", ())),
        offers=capabilities.options,
        lacks={revision: frozenset(options) for revision, options in table.get("lacks", {}).items()},
        beside=table.get("beside", {}),
        framework=table.get("framework", "torch"),
        arguments=table.get("arguments", {}),
        whole=frozenset(table.get("whole", ())),
    )
    if faults := list(_unread(names)):
        raise ValueError(f"{origin} is not a whole name map (see docs/adapter.md):\n" + "\n".join(faults))
    return names.under(revisions[0])


def shipped_maps() -> dict[str, NameMap]:
    """The maps that come with the kit, by the name of their file."""
    files = sorted((file for file in _ADAPTERS.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return {file.name.removesuffix(".toml"): read_name_map(file.read_text("utf-8"), file.name) for file in files}


def parsed(target: str) -> tuple[str, str, peers.Release | None]:
    """Module, name and release of ``module:Class`` or ``module:Class@distribution==version``.

    Raises:
        ValueError: the target is malformed.
    """
    where, at, requirement = target.partition("@")
    module, colon, name = where.partition(":")
    if not (module and colon and name):
        head, dot, tail = where.rpartition(".")
        meant = f". Is {head}:{tail} meant?" if dot and not colon and head and tail.isidentifier() else ""
        raise ValueError(f"{target!r} does not name a class; write it as module:Class, or as {peers.SYNTAX}{meant}")
    return module, name, peers.release(requirement) if at else None


def import_object(target: str) -> Any:
    """Import what a target names: a class, or a function that makes optimizers.

    Raises:
        ValueError: the target is malformed, the release is not installed, or there is no such object.
    """
    module, name, release = parsed(target)
    try:
        found = peers.load(module, release) if release else importlib.import_module(module)
    except peers.Absent:
        raise
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"cannot import {target!r}: {what}{_where_from(module, error)}") from error
    try:
        return attrgetter(name)(found)
    except Exception as error:  # a module may make its names as they are asked for
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"cannot import {target!r}: {what}{_nearest(name, found)}") from error


def _where_from(module: str, error: BaseException) -> str:
    """What to do about a module that is not found."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    if module.endswith(".py") or os.sep in module:
        return ". Name the module as an import would, and not its file: folder/name.py is folder.name"
    if error.name and module.partition(".")[0] == error.name:
        return f". It is looked for in {Path.cwd()} and where Python looks; PYTHONPATH adds folders"
    return ""


def _nearest(name: str, module: object) -> str:
    """The names of a module that are most like one that it does not have."""
    classes = [own for own, value in vars(module).items() if isinstance(value, type)]
    near = difflib.get_close_matches(name, classes, n=3, cutoff=0.5)
    return f". It has {', '.join(near)}" if near else ""


def import_class(target: str) -> type[Any]:
    """Import ``module:Class``, or ``module:Class@distribution==version`` from the folder of that release.

    Raises:
        ValueError: the target is malformed, the release is not installed, or there is no such class.
    """
    found = import_object(target)
    if not isinstance(found, type):
        hint = ". What a function makes can be judged through a class of your own that does the same" * callable(found)
        raise ValueError(f"{target!r} is not a class{hint}")
    return found


def is_target(cls: type[Any], target: str) -> bool:
    """Whether ``target`` can be imported and is this class."""
    try:
        return import_class(target) is cls
    except ValueError:
        return False


def target_of(cls: type[Any], names: NameMap) -> str | None:
    """How a class that this map was written for is named on the command line; None for any other class."""
    release, where = peers.origin(cls) or (None, "")
    if release is None:
        return names.target if is_target(cls, names.target) else None
    ours = (release.distribution, where) == (names.distribution, names.target)
    return f"{where}@{release}" if ours else None


def version_of(cls: type[Any], names: NameMap) -> str:
    """The version of the map's distribution that a class, or its nearest parent that is a peer, comes from."""
    releases = [found[0] for parent in cls.__mro__ if (found := peers.origin(parent))]
    return releases[0].version if releases else _installed(names.distribution)


def version_of_target(target: str, names: NameMap) -> str:
    """The version that a target names, or else of the map's distribution that is installed."""
    release = parsed(target)[2]
    return release.version if release else _installed(names.distribution)


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def fits(cls: type[Any], names: NameMap) -> bool:
    """Whether the map was written for this class, in the version that is there."""
    if target_of(cls, names) is None:
        return False
    try:
        return Version(version_of(cls, names)) in names.versions
    except InvalidVersion:  # a copy without metadata does not say what it is
        return True


def map_of_function(target: str) -> NameMap | None:
    """The shipped map of a function that makes optimizers; None if there is none.

    Raises:
        ValueError: the target is malformed.
    """
    module, name, _ = parsed(target)
    for found in shipped_maps().values():
        if found.framework != "torch" and found.target == f"{module}:{name}":
            version = version_of_target(target, found)
            if version != "unknown" and Version(version) in found.versions:
                return found
    return None


def map_for(cls: type[Any], file: Path | None = None) -> NameMap:
    """The map of a class: from ``file``, or the shipped one of the class or of its nearest parent.

    Raises:
        ValueError: there is none.
    """
    if file is not None:
        return read_name_map(_text_of(file), str(file))
    maps = shipped_maps().values()
    for parent in cls.__mro__:
        for found in maps:
            if found.framework == "torch" and fits(parent, found):
                return found
    known = ", ".join(f"{found.target} ({found.distribution} {found.versions})".replace(" )", ")") for found in maps)
    raise ValueError(
        f"no name map for {cls.__module__}:{cls.__qualname__} or its parents. Write one, as docs/adapter.md says, and "
        f"give it with --map. These classes have one: {known}"
    )


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the name map {file}: {error}") from error
