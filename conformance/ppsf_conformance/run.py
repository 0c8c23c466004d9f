"""What the commands do: judge classes, train with them, gather one report."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ppsf_conformance import pinned, problem_files
from ppsf_conformance.adapter import Group, Weights
from ppsf_conformance.errata import Erratum, KnownDeviations, all_errata
from ppsf_conformance.killing import Corpus, record
from ppsf_conformance.matrix import Matrix
from ppsf_conformance.name_map import import_class, import_object, map_for, map_of_function
from ppsf_conformance.optax_adapter import OptaxImplementation
from ppsf_conformance.published import Published, errata_for
from ppsf_conformance.report import Implementation, Report, Training, html, junit, model
from ppsf_conformance.surroundings import put_back
from ppsf_conformance.survey import Progress, Survey
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_conformance.verdicts import implementation_report, spec_reference
from ppsf_ref.options import revision_names

#: Problems per implementation.
PROFILES: Mapping[str, int] = {"quick": 120, "standard": 400, "nightly": 6000}
#: Our class for each revision.
OWN: Mapping[str, str] = {
    "1.9": "ppsf_fast:ProdigyPlusScheduleFree",
    "2.0": "ppsf_fast:ProdigyPlusScheduleFree",
    "update3": "ppsf_fast:ProdigyPlusScheduleFree",
    "prodigy": "ppsf_fast:Prodigy",
    "schedulefree": "ppsf_fast:AdamWScheduleFree",
}
#: The classes `audit` puts side by side.
AUDITED = (
    "ppsf_fast:ProdigyPlusScheduleFree",
    "prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree",
)


@dataclass(frozen=True)
class Request:
    """What to judge, and how hard to look."""

    targets: tuple[str, ...]
    revision: str = ""
    profile: str = "standard"
    seed: int = 0
    name_map: Path | None = None
    expected: tuple[Erratum, ...] = ()


def implementation_for(target: str, name_map: Path | None = None, revision: str = "") -> Published:
    """What is under judgement, from ``module:Class`` or ``module:Class@distribution==version``.

    Args:
        revision: what it is judged by; the first one of its name map unless given.

    Raises:
        ValueError: it cannot be imported, is no torch optimizer, has no name map, or does not follow the revision.
    """
    if not name_map and (known := map_of_function(target)):
        return OptaxImplementation(target, import_object(target), known.under(revision) if revision else known)
    cls = import_class(target)
    if not issubclass(cls, torch.optim.Optimizer):
        raise ValueError(f"{target!r} is not a torch.optim.Optimizer")
    names = map_for(cls, name_map)
    return TorchImplementation(cls, names.under(revision) if revision else names)


def survey_of(
    implementation: Published,
    examples: int,
    seed: int,
    progress: Progress,
    expected: Sequence[Erratum] = (),
) -> Survey:
    """Judge one implementation: lockstep on drawn problems, then the checks.

    Args:
        expected: errata beside those of its release; each has to show.

    Raises:
        Interrupted: the user stopped it; what was found so far comes with it.
        ValueError: it cannot be constructed, or its name map does not fit.
    """
    _made(implementation)
    own = errata_for(implementation)
    known = KnownDeviations((*own, *(erratum for erratum in expected if erratum not in own)))
    survey = Survey(implementation, known)
    try:
        with put_back():
            survey.rare()
            if examples >= PROFILES["standard"]:
                survey.large()
            survey.run(examples, seed, progress)
            survey.check(progress)
            if not survey.stuck:
                _replay_errata(survey, implementation, own, expected, progress)
    except KeyboardInterrupt as stop:
        raise Interrupted(survey) from stop
    return survey


def _made(implementation: Published) -> None:
    """Construct the plainest optimizer, and read it: what cannot even do that is not judged.

    Raises:
        ValueError: the constructor raises, or does not leave what the name map reads.
    """
    group = Group((Weights(np.ones(3), implementation.capabilities.dtypes[0]),), {})
    try:
        with put_back():
            session = implementation.new([group], {})
    except Exception as error:
        name = implementation.target.partition(":")[2]
        raise ValueError(
            f"{implementation.target} cannot be constructed: {name}([{{'params': [...]}}]) on the CPU, with no more, "
            f"raises {type(error).__name__}: {error}. A class that needs more is judged through a subclass whose "
            "constructor needs the parameters alone, and takes the options that its name map lists"
        ) from error
    session.snapshot()


class Interrupted(KeyboardInterrupt):
    """The user stopped a survey."""

    def __init__(self, survey: Survey) -> None:
        super().__init__("stopped by the user")
        self.survey = survey


def _replay_errata(
    survey: Survey,
    implementation: Published,
    own: Sequence[Erratum],
    expected: Sequence[Erratum],
    progress: Progress,
) -> None:
    seen = {name for tally in survey.clauses.values() for name in tally.errata}
    for done, erratum in enumerate(survey.known.errata, 1):
        shows = _shows(erratum, implementation)
        if erratum in expected:
            survey.replayed(erratum, shows or erratum.id in seen, "take it out of the expected ones")
        elif erratum in own and (shows or implementation.released):  # a subclass may have mended what its parent does
            survey.replayed(erratum, shows)
        progress("errata", done, len(survey.known.errata))


def _shows(erratum: Erratum, implementation: Published) -> bool:
    """Whether the pinned input still gives something else than the law."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            session = pinned.replay(erratum.table["pinned"], implementation.replayable)
        return any(
            not pinned.agrees(pinned.observe(session, entry.get("upstream_path", entry["path"])), entry["law"])
            for entry in erratum.table["pinned"]["observe"]
        )
    except Exception:
        if implementation.released:
            raise
        return False  # a class of other names or options, on which the pinned input cannot be played


def judged(request: Request, progress: Callable[[str], Progress]) -> Report:
    """Judge every target; ``progress`` makes a callback for each.

    Raises:
        ValueError: a target or the revision does not exist.
    """
    if request.revision and request.revision not in revision_names():
        raise ValueError(f"there is no revision {request.revision!r}; there is {', '.join(revision_names())}")
    started = time.monotonic()
    implementations = _told_apart(request)
    revision = _one_revision(implementations)
    found: list[Implementation] = []
    interrupted = False
    for implementation in implementations:
        callback = progress(f"{implementation.name} {implementation.version}")
        examples = PROFILES[request.profile]
        with put_back():
            try:
                survey = survey_of(implementation, examples, request.seed, callback, request.expected)
            except Interrupted as stop:
                survey, interrupted = stop.survey, True
                survey.diagnose()
            found.append(implementation_report(survey, shrink=not (interrupted or survey.stuck)))
        if interrupted:
            break
    run = model.run_info(request.seed, request.profile)
    run = replace(run, seconds=time.monotonic() - started, interrupted=interrupted)
    return Report(spec_reference(revision), run, tuple(found))


def _one_revision(implementations: Sequence[Published]) -> str:
    """The revision that all of them are judged by.

    Raises:
        ValueError: they differ.
    """
    found = {made.target: made.capabilities.revision for made in implementations}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{target} ({revision})" for target, revision in found.items())
        raise ValueError(f"one report is about one revision, and these differ: {listed}; judge them one by one")
    return next(iter(found.values()))


def _told_apart(request: Request) -> list[Published]:
    """Every class once; those with the same name go by their target."""
    targets = dict.fromkeys(request.targets)
    made = [implementation_for(target, request.name_map, request.revision) for target in targets]
    names = [implementation.name for implementation in made]
    for implementation in made:
        if names.count(implementation.name) > 1:
            implementation.name = implementation.target
    return made


def own() -> list[Published]:
    """Our optimizers, one per revision."""
    return [implementation_for(target, revision=revision) for revision, target in OWN.items()]


def recorded(examples: int, seed: int) -> Corpus:
    """Transitions of our optimizers, ``examples`` problems of every revision: what mutants are held against."""
    return Corpus([one for implementation in own() for one in record(implementation, examples, seed)])


def trained(targets: Iterable[str], progress: Callable[[Any], None]) -> Training:
    """Train the digits network with every target, no learning rate given."""
    from ppsf_conformance.training import train_all  # scikit-learn is heavy, and only this needs it

    def factory(target: str) -> Callable[..., torch.optim.Optimizer]:
        cls = import_class(target)

        def make(params: Any) -> torch.optim.Optimizer:
            with contextlib.redirect_stdout(io.StringIO()):
                return cls(params)  # type: ignore[no-any-return]

        return make

    names = {implementation_for(target).name: factory(target) for target in targets}
    return train_all(names, progress=progress)


def entries() -> dict[str, Mapping[str, Any]]:
    """Every erratum's table, by id."""
    return {erratum.id: erratum.table for erratum in all_errata()}


#: The files of a report, by the name of their format.
FORMATS: Mapping[str, str] = {"json": "report.json", "html": "index.html", "junit": "junit.xml"}


def write(
    report: Report, folder: Path, formats: Iterable[str] = FORMATS, published: Sequence[Matrix] = ()
) -> Sequence[Path]:
    """Write the files of a report, and the problems on which clauses fail.

    Args:
        published: stored verdicts to be shown in the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts: Mapping[str, Callable[[], str]] = {
        "json": report.to_json,
        "html": lambda: html.render(report, entries(), published),
        "junit": lambda: junit.to_junit(report),
    }
    paths = [folder / FORMATS[name] for name in FORMATS if name in formats]
    for path, name in zip(paths, [name for name in FORMATS if name in formats], strict=True):
        path.write_text(texts[name](), "utf-8")
    return [*paths, *problem_files.write_all(report, folder)]


def passed(report: Report) -> bool:
    """Whether every implementation passes every clause, or deviates by a pinned erratum."""
    return all(implementation.summary.passed for implementation in report.implementations)


def unreached(report: Report) -> bool:
    """Whether nothing fails, but some clause was not run."""
    verdicts = {clause.verdict for implementation in report.implementations for clause in implementation.clauses}
    return "not-run" in verdicts and "fail" not in verdicts
