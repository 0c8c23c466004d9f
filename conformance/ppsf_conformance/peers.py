"""Releases of other people's packages, side by side: several versions of one distribution in one process.

Each release lies in a folder of its own (:func:`home`). Its modules are imported under their own names, since packages
import themselves by name, while any other version of them is set aside. They are then filed in ``sys.modules`` under
names that say which release they are, and their classes say so too. So a plain ``import`` still finds what the
environment has, and instances of a release can be copied and pickled within the process.

A release that has packages of its own in its folder (``needs``) is imported as any other package, its folder being
the last place that ``import`` looks into: such packages cannot be loaded twice, and the environment has none of them.

Two limits. A release must not import a module of its own while a function runs: it would get the environment's. And a
pickle is read only by a process that has loaded the release before.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

#: Folder of the releases; ``peers`` in the environment's own folder unless it is set.
HOME = "PPSF_PEERS"
SYNTAX = "module:Class@distribution==version"


class Absent(ValueError):
    """A release is not installed; the message says how to install it."""


@dataclass(frozen=True)
class Release:
    """One version of a distribution."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution}=={self.version}"

    @property
    def folder(self) -> Path:
        """Where it is installed, or has to be."""
        return home() / f"{self.distribution}-{self.version}"

    @property
    def prefix(self) -> str:
        """Package under which its modules are filed; this package is a parent that pickle can always import."""
        return f"{__name__}.{re.sub(r'[^0-9A-Za-z]', '_', self.folder.name)}"

    @property
    def installed(self) -> bool:
        """Whether its folder holds this release."""
        found = metadata.distributions(path=[str(self.folder)])
        return any(release(f"{one.name}=={one.version}") == self for one in found)


def home() -> Path:
    """The folder that holds a folder per release."""
    return Path(os.environ.get(HOME) or Path(sys.prefix) / "peers")


def release(requirement: str) -> Release:
    """Read ``distribution==version``.

    Raises:
        ValueError: it is something else.
    """
    try:
        wanted = Requirement(requirement)
        (pin,) = wanted.specifier
        version = Version(pin.version)
    except (InvalidRequirement, InvalidVersion, ValueError) as error:
        raise ValueError(f"{requirement!r} does not name one release; write it as {SYNTAX}") from error
    if pin.operator != "==" or wanted.extras or wanted.marker or wanted.url:
        raise ValueError(f"{requirement!r} does not name one release; write it as {SYNTAX}")
    return Release(canonicalize_name(wanted.name), str(version))


@dataclass(frozen=True)
class Peer:
    """A row of ``peers.toml``: its classes, the one that stands for it first, and what is installed with it."""

    classes: tuple[str, ...]
    needs: tuple[str, ...] = ()


@cache
def _table() -> dict[Release, Peer]:
    table = tomllib.loads((resources.files("ppsf_conformance") / "peers.toml").read_text("utf-8"))
    return {
        release(f"{row['distribution']}=={row['version']}"): Peer(
            (row["class"], *row.get("also", ())), tuple(row.get("needs", ()))
        )
        for row in table["peer"]
    }


@cache
def known() -> dict[Release, str]:
    """The releases of ``peers.toml``, each with the class that stands for it, as ``module:Class``."""
    return {one: peer.classes[0] for one, peer in _table().items()}


@cache
def targets() -> tuple[str, ...]:
    """Every class of ``peers.toml``, as ``module:Class@distribution==version``."""
    return tuple(f"{cls}@{one}" for one, peer in _table().items() for cls in peer.classes)


def _needs(one: Release) -> tuple[str, ...]:
    return _table()[one].needs if one in _table() else ()


# --------------------------------------------------------------------------------------------------------- installing


def install(one: Release) -> None:
    """Install a release into its folder, without what it depends on but for what its row says that it needs.

    Raises:
        ValueError: pip could not.
    """
    done = subprocess.run(_command(one), check=False)
    if done.returncode or not one.installed:
        raise ValueError(f"pip could not install {one} into {one.folder}; its own message says why")


def _command(one: Release) -> list[str]:
    options = ["-qq", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target", str(one.folder)]
    return [sys.executable, "-m", "pip", "install", *options, str(one), *_needs(one)]


def _absent(one: Release) -> str:
    if one in known():
        return f"{one} is not installed in {home()}. Install it with: ppsf-conformance peers --install"
    listed = ", ".join(map(str, known()))
    return (
        f"{one} is not installed in {home()}, and is none of the releases that ppsf-conformance installs ({listed}). "
        f"Install it with: {' '.join(_command(one))}"
    )


# ---------------------------------------------------------------------------------------------------------- importing

#: Modules of each release, by the names that they have for each other.
_shelf: dict[Release, dict[str, ModuleType]] = {}
#: What each module filed by us is: the release, and its name there.
_filed: dict[str, tuple[Release, str]] = {}


def load(module: str, one: Release) -> ModuleType:
    """Import a module of a release; the same object each time.

    Raises:
        Absent: the release is not installed.
        Exception: whatever the module raises while it is imported.
    """
    if not one.installed:
        raise Absent(_absent(one))
    if _needs(one):
        return _imported(module, one)
    if module not in _shelf.get(one, {}):
        with _in_place(one):
            importlib.import_module(module)
        for name, found in _shelf[one].items():
            _file(one, name, found)
    if module not in _shelf[one]:
        raise ModuleNotFoundError(f"{one} has no module {module!r}", name=module)
    return _shelf[one][module]


def _imported(module: str, one: Release) -> ModuleType:
    """Import a module of a release that stays where it is.

    Raises:
        ImportError: the environment has another one.
    """
    if str(one.folder) not in sys.path:
        sys.path.append(str(one.folder))
        importlib.invalidate_caches()
    found = importlib.import_module(module)
    if not Path(str(found.__file__)).is_relative_to(one.folder):
        raise ImportError(f"the environment has a {module} of its own, {found.__file__}, that hides the one of {one}")
    return found


def origin(cls: type[Any]) -> tuple[Release, str] | None:
    """The release that a class was loaded from, and its ``module:Class`` there; None for any other class."""
    found = _filed.get(cls.__module__)
    return (found[0], f"{found[1]}:{cls.__qualname__}") if found else None


@contextmanager
def _in_place(one: Release) -> Iterator[None]:
    """The release is what ``import`` finds; everything as before afterwards, the release's modules on the shelf."""
    own = {path.stem for path in one.folder.iterdir() if path.suffix in {"", ".py"}}
    others = _taken_out(own)
    sys.modules.update(_shelf.get(one, {}))
    sys.path.insert(0, str(one.folder))
    importlib.invalidate_caches()
    try:
        yield
        _shelf[one] = _taken_out(own)
    finally:
        _taken_out(own)
        sys.path.remove(str(one.folder))
        sys.modules.update(others)


def _taken_out(packages: set[str]) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}


def _file(one: Release, name: str, module: ModuleType) -> None:
    """Make a module, and the classes that it defines, known under a name that says which release it is of."""
    filed = f"{one.prefix}.{name}"
    sys.modules[filed] = module
    _filed[filed] = (one, name)
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == name:
            value.__module__ = filed
