"""Every erratum shows itself on its pinned input, and our optimizer gives what the law says there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

import ppsf_fast
from ppsf_conformance import peers, pinned
from ppsf_conformance.errata import Erratum, all_errata
from ppsf_conformance.name_map import NameMap, import_class
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.snippets import shown_on
from ppsf_conformance.witness import Witness

ALL = all_errata()
ERRATA = [erratum.table for erratum in ALL]
LAWFUL = [erratum.table for erratum in ALL if not erratum.awaits]
#: Those that a release of 1.9 shows, and the others.
PLAIN = [
    table for table in LAWFUL if any(entry["versions"] in ("==1.9.0", "==1.9.2") for entry in table["implementations"])
]
OTHERS = [table for table in LAWFUL if table not in PLAIN]
#: Every erratum with each class that it names: that which stands for the release, unless it names one.
SEEN = [(erratum, target) for erratum in ALL for target in shown_on(erratum)]
every_erratum = pytest.mark.parametrize("erratum", ERRATA, ids=[e["id"] for e in ERRATA])
every_lawful_erratum = pytest.mark.parametrize("erratum", LAWFUL, ids=[e["id"] for e in LAWFUL])


def replayed(erratum: Mapping[str, Any], cls: Any) -> pinned.Session:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has its say on odd inputs, which is not what is tested
        return pinned.replay(erratum["pinned"], cls)


@pytest.mark.parametrize(("erratum", "target"), SEEN, ids=[f"{e.id}-{target}" for e, target in SEEN])
def test_each_release_gives_the_recorded_figures(erratum: Erratum, target: str) -> None:
    session = replayed(erratum.table, implementation_for(target).replayable)
    for entry in erratum.table["pinned"]["observe"]:
        path = entry.get("upstream_path", entry["path"])
        got = pinned.observe(session, path)
        assert pinned.agrees(got, entry["upstream"]), f"{path}: got {got!r}, recorded {entry['upstream']!r}"


@every_erratum
def test_every_release_that_an_erratum_names_is_installed_and_replayed(erratum: Mapping[str, Any]) -> None:
    named = {(entry["name"], entry["versions"]) for entry in erratum["implementations"]}
    assert named <= {(release.distribution, f"=={release.version}") for release in peers.known()}


@pytest.mark.parametrize("erratum", PLAIN, ids=[e["id"] for e in PLAIN])
def test_ppsf_fast_gives_what_the_law_says(erratum: Mapping[str, Any]) -> None:
    agrees_with_the_law(erratum, ppsf_fast.ProdigyPlusScheduleFree)


@pytest.mark.parametrize("erratum", OTHERS, ids=[e["id"] for e in OTHERS])
def test_the_reference_gives_what_the_law_says_in_other_revisions(erratum: Mapping[str, Any]) -> None:
    target = next(target for seen, target in SEEN if seen.table is erratum)
    agrees_with_the_law(erratum, lawful(erratum, implementation_for(target).names))


def lawful(erratum: Mapping[str, Any], names: NameMap) -> Any:
    """What stands for the law: the reference, which knows neither copying nor resuming, or else our own class."""
    if {"resume", "pickle", "deepcopy"} & {action.get("do") for action in erratum["pinned"].get("actions", [])}:
        return import_class(OWN[names.revisions[0]])
    return partial(Witness, names=names)


#: Products beside the one of 1.9, by revision.
PRODUCTS = {
    "2.0": partial(ppsf_fast.ProdigyPlusScheduleFree, revision="2.0"),
    "update3": partial(ppsf_fast.ProdigyPlusScheduleFree, revision="update3"),
    "prodigy": ppsf_fast.Prodigy,
    "schedulefree": ppsf_fast.AdamWScheduleFree,
}


@pytest.mark.parametrize("erratum", OTHERS, ids=[e["id"] for e in OTHERS])
def test_ppsf_fast_gives_what_the_law_says_in_other_revisions(erratum: Mapping[str, Any]) -> None:
    target = next(target for seen, target in SEEN if seen.table is erratum)
    names = implementation_for(target).names
    revision = names.revisions[0]
    ours = implementation_for(OWN[revision], revision=revision).names
    session = replayed(erratum, under_their_names(PRODUCTS[revision], names))
    for entry in erratum["pinned"]["observe"]:
        path, counts = in_our_names(entry["path"], names, ours)
        got = pinned.observe(session, path)
        if counts and isinstance(got, int):
            got += names.first_k - ours.first_k  # what k is before the first step
        assert pinned.agrees(got, entry["law"]), f"{path}: got {got!r}, by the law {entry['law']!r}"


def under_their_names(product: Callable[..., Any], names: NameMap) -> Callable[..., Any]:
    """A product that takes options under the names that a release has for them."""

    def made(groups: Iterable[Mapping[str, Any]], **options: Any) -> Any:
        return product([names.meant(group) for group in groups], **names.capabilities.always, **names.meant(options))

    return made


def in_our_names(path: str, names: NameMap, ours: NameMap) -> tuple[str, bool]:
    """A path under the names of the product, and whether it leads to the count of steps."""
    place, dot, key = path.partition(".")
    meant = next((name for name, theirs in names.group.items() if theirs == key), key)
    if not (dot and place.startswith("groups[")):
        return path, False
    return f"{place}.{ours.group.get(meant, key)}", meant == "k"


def agrees_with_the_law(erratum: Mapping[str, Any], cls: Any) -> None:
    session = replayed(erratum, cls)
    for entry in erratum["pinned"]["observe"]:
        got = pinned.observe(session, entry["path"])
        assert pinned.agrees(got, entry["law"]), f"{entry['path']}: got {got!r}, by the law {entry['law']!r}"


@every_lawful_erratum
def test_figures_differ_exactly_where_the_law_deviates(erratum: Mapping[str, Any]) -> None:
    differ = any(not pinned.agrees(e["upstream"], e["law"]) for e in erratum["pinned"]["observe"])
    assert differ == (erratum["disposition"] == "spec-deviates")


@pytest.mark.parametrize(
    ("figure", "got", "same"),
    [
        ("-4.4721", -4.472135543823242, True),
        ("-4.4721", 4.472135543823242, False),
        ("-4.4721", -4.47216, False),
        ("0.5", 0.5499, True),
        ("0.50000", 0.5499, False),
        ("1.0000e-06", 1.00004e-06, True),
        ("1.0000e-06", 1.00006e-06, False),
        ("0.0", 0.0, True),
        ("0.0", 1e-300, False),
        ("0.0", -0.0, False),
        ("nan", float("nan"), True),
        ("nan", 0.0, False),
        ("inf", float("inf"), True),
        ("inf", 1e300, False),
    ],
)
def test_a_figure_stands_for_what_rounds_to_its_digits(figure: str, got: float, same: bool) -> None:
    (entry,) = pinned.figures(f'[pinned]\nobserve = [{{ path = "d", law = {figure} }}]')
    assert pinned.agrees(got, entry["law"]) is same


@pytest.mark.parametrize(("got", "figure"), [(3, 3), (True, True), ("none", "none"), (None, "None"), ([1, 2], [1, 2])])
def test_what_is_no_decimal_is_compared_exactly(got: object, figure: object) -> None:
    assert pinned.agrees(got, figure)
    assert not pinned.agrees(4, figure)


@every_erratum
def test_no_figure_claims_more_digits_than_machines_share(erratum: Mapping[str, Any]) -> None:
    figures = [entry[key] for entry in erratum["pinned"]["observe"] for key in ("upstream", "law") if key in entry]
    assert all(len(f.as_tuple().digits) <= 6 for f in figures if isinstance(f, Decimal))
