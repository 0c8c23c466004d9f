"""Releases side by side: each is itself, none disturbs another, and one that is missing says how to get it."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ppsf_conformance import peers
from ppsf_conformance.name_map import import_class

PACKAGE = "prodigy-plus-schedule-free"
CLASS = "prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree"
#: Those that are imported beside other versions of themselves.
RELEASES = [release for release in peers.known() if release.distribution != "optax"]
every_release = pytest.mark.parametrize("release", RELEASES, ids=map(str, RELEASES))


def loaded(release: peers.Release) -> Any:
    return import_class(f"{peers.known()[release]}@{release}")


def stepped(cls: Any) -> Any:
    param = torch.nn.Parameter(torch.ones(3))
    optimizer = cls([param])
    getattr(optimizer, "train", lambda: None)()
    param.grad = torch.ones(3)
    optimizer.step()
    return optimizer


def make_release(home: Path, version: str, **modules: str) -> peers.Release:
    """A release of a distribution ``toy``, as pip would lay it out."""
    folder = home / f"toy-{version}"
    info = folder / f"toy-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\n")
    (folder / "toy").mkdir()
    for name, text in modules.items():
        (folder / "toy" / f"{name}.py").write_text(text)
    return peers.release(f"toy=={version}")


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(peers.HOME, str(tmp_path))
    return tmp_path


# -------------------------------------------------------------------------------------------------------------- itself


@every_release
def test_a_class_comes_from_the_folder_of_its_release(release: peers.Release) -> None:
    cls = loaded(release)
    module = sys.modules[cls.__module__]
    assert Path(str(module.__file__)).is_relative_to(release.folder)
    assert peers.origin(cls) == (release, peers.known()[release])
    assert loaded(release) is cls


@every_release
def test_an_instance_can_be_copied_and_pickled(release: peers.Release) -> None:
    optimizer = stepped(loaded(release))
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert type(twin) is type(optimizer)
        assert twin.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


def test_a_release_finds_its_own_modules_and_not_those_of_another() -> None:
    old, new = (loaded(peers.release(f"{PACKAGE}=={version}")) for version in ("1.9.0", "2.0.1"))
    assert not issubclass(new, old)
    assert [parent.__module__.split(".")[2] for parent in (old.__mro__[1], new.__mro__[1])] == [
        "prodigy_plus_schedule_free_1_9_0",
        "prodigy_plus_schedule_free_2_0_1",
    ]
    assert "d_limiter" in stepped(new).param_groups[0]
    assert "d_limiter" not in stepped(old).param_groups[0]


def test_two_modules_of_a_release_share_their_classes(toys: Path) -> None:
    release = make_release(
        toys, "1.0", __init__="", base="class Base: ...\n", child="from toy.base import Base\nclass Child(Base): ...\n"
    )
    base, child = import_class(f"toy.base:Base@{release}"), import_class(f"toy.child:Child@{release}")
    assert issubclass(child, base)


# ----------------------------------------------------------------------------------------------------- not in the way


def test_what_the_environment_imports_stays_what_it_was() -> None:
    import prodigyplus

    before, path = dict(sys.modules), list(sys.path)
    loaded(peers.release(f"{PACKAGE}==2.0.1"))
    peers.load("prodigyplus.core_optimiser", peers.release(f"{PACKAGE}==2.0.1"))
    assert sys.path == path
    assert {name: module for name, module in sys.modules.items() if not name.startswith(peers.__name__)} == {
        name: module for name, module in before.items() if not name.startswith(peers.__name__)
    }
    assert sys.modules["prodigyplus"] is prodigyplus
    assert peers.origin(prodigyplus.ProdigyPlusScheduleFree) is None


def test_a_module_that_fails_leaves_nothing_behind(toys: Path) -> None:
    release = make_release(
        toys, "2.0", __init__="", broken="import toy\nraise RuntimeError('no')\n", fine="class A: ...\n"
    )
    before, path = set(sys.modules), list(sys.path)
    with pytest.raises(ValueError, match=r"cannot import 'toy\.broken:A@toy==2\.0': RuntimeError: no"):
        import_class(f"toy.broken:A@{release}")
    assert (set(sys.modules), sys.path) == (before, path)
    assert import_class(f"toy.fine:A@{release}").__qualname__ == "A"


def test_a_module_that_the_release_does_not_have_is_not_taken_from_the_environment(toys: Path) -> None:
    release = make_release(toys, "3.0", __init__="")
    with pytest.raises(ValueError, match=r"toy==3\.0 has no module 'json'"):
        import_class(f"json:JSONDecoder@{release}")
    assert peers.origin(import_class("json:JSONDecoder")) is None


# ------------------------------------------------------------------------------------------------------------- missing


def test_a_listed_release_that_is_missing_names_the_command(toys: Path) -> None:
    with pytest.raises(peers.Absent, match=r"==2\.0\.1 is not installed in .*: ppsf-conformance peers --install$"):
        import_class(f"{CLASS}@{PACKAGE}==2.0.1")


def test_any_other_release_that_is_missing_names_pip_and_the_folder(toys: Path) -> None:
    with pytest.raises(peers.Absent, match=r"none of the releases.* pip install .*--target \S*/toy-9\.9 toy==9\.9$"):
        import_class("toy:A@toy==9.9")


def test_a_folder_that_holds_another_version_is_not_that_release(toys: Path) -> None:
    make_release(toys, "1.0", __init__="class A: ...\n")
    (toys / "toy-1.0").rename(toys / "toy-1.1")
    with pytest.raises(peers.Absent, match=r"toy==1\.1 is not installed"):
        import_class("toy:A@toy==1.1")


def test_names_and_versions_are_those_of_pip() -> None:
    assert peers.release("Prodigy_Plus.Schedule-Free == 2.0.1") == peers.release(f"{PACKAGE}==2.0.1")


def test_an_installation_that_fails_is_told(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_command", lambda release: [sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(ValueError, match=r"pip could not install toy==1\.0 into .*toy-1\.0"):
        peers.install(peers.release("toy==1.0"))


def test_each_peer_is_installed_alone_into_its_own_folder(toys: Path) -> None:
    command = peers._command(peers.release("toy==1.0"))
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--no-deps" in command
    assert command[-3:] == ["--target", str(toys / "toy-1.0"), "toy==1.0"]
