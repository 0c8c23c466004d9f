"""Area O: how options are read."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.vectors.draws import after, drawn, f32, fraction
from ppsf_conformance.vectors.model import Case, case, exact, spec
from ppsf_ref import Options
from ppsf_ref.clauses import options


def _group(i: Any) -> dict[str, Any]:
    found = options.group_options(Options(**i.defaults), i.given)
    return {"options": {name: getattr(found, name) for name in i.defaults}}


def _both(first: str, second: str, *comments: str) -> list[Case]:
    """All four settings of two switches."""
    settings = ((False, False), (False, True), (True, False), (True, True))
    pairs = zip(settings, comments, strict=True)
    return [
        case(comment, "DefaultOptions" * (on == (False, False)), **dict(zip((first, second), on, strict=True)))
        for on, comment in pairs
    ]


OPTIONS = (
    spec(
        "PPSF-O-001",
        "beta3:number beta2:number",
        "beta3:number",
        lambda i: options.resolved_beta3(i.beta3, i.beta2),
        case("not given: the root of beta2", "DefaultOptions", beta3=None, beta2=f32(0.99)),
        case("not given, a root of 1/2", "", beta3=None, beta2=0.25),
        case("not given, beta2 is 0", "Edge", beta3=None, beta2=0.0),
        case("not given, beta2 next to 1", "", beta3=None, beta2=after(1.0, -1)),
        case("given", "Exact", beta3=0.75, beta2=f32(0.99)),
        case("given as 0, which is not the same as not given", "Edge Exact", beta3=0.0, beta2=f32(0.99)),
        drawn("O-001", 2, beta3=lambda _: None, beta2=fraction(0.5)),
    ),
    exact(
        "PPSF-O-002",
        "use_stableadamw:boolean eps:option",
        "clips:boolean",
        lambda i: options.clips(i.use_stableadamw, i.eps),
        case("a number for eps", "DefaultOptions", use_stableadamw=True, eps=1e-8),
        case("no eps: Adam-atan2", "", use_stableadamw=True, eps=None),
        case("switched off", "", use_stableadamw=False, eps=1e-8),
        case("switched off, no eps", "", use_stableadamw=False, eps=None),
    ),
    exact(
        "PPSF-O-003",
        "defaults:options given:options",
        "options:options",
        _group,
        case("nothing given", "DefaultOptions", defaults={"lr": 1.0, "d0": 1e-6}, given={}),
        case("an option of its own", "", defaults={"lr": 1.0, "d0": 1e-6}, given={"d0": 1e-3}),
        case("a key of someone else is ignored", "Decoy", defaults={"lr": 1.0}, given={"name": "encoder"}),
        case(
            "None takes the place of a number", "", defaults={"eps": 1e-8, "use_stableadamw": True}, given={"eps": None}
        ),
        case(
            "0 and false count as given",
            "Edge",
            defaults={"lr": 1.0, "factored": True},
            given={"lr": 0.0, "factored": False},
        ),
        case(
            "all that a group may give",
            "",
            defaults={
                "lr": 1.0,
                "weight_decay": 0.0,
                "d_coef": 1.0,
                "prodigy_steps": 0,
                "use_speed": False,
                "beta3": None,
            },
            given={"lr": 0.5, "weight_decay": 0.1, "d_coef": 2.0, "prodigy_steps": 9, "use_speed": True, "beta3": 0.9},
        ),
        case("a pair is replaced whole", "", defaults={"betas": (0.9, 0.99)}, given={"betas": (0.95, 0.999)}),
    ),
    exact(
        "PPSF-O-004",
        "use_grams:boolean use_cautious:boolean",
        "grams:boolean",
        lambda i: options.applies_grams(i.use_grams, i.use_cautious),
        _both("use_grams", "use_cautious", "neither", "cautious alone", "grams alone", "both: cautious wins"),
    ),
    exact(
        "PPSF-O-005",
        "factored:boolean use_focus:boolean",
        "factored:boolean",
        lambda i: options.factors(i.factored, i.use_focus),
        _both("factored", "use_focus", "neither", "FOCUS alone", "factored", "FOCUS keeps an average of weights whole"),
    ),
    exact(
        "PPSF-O-006",
        "use_muon_pp:boolean use_focus:boolean",
        "muon:boolean",
        lambda i: options.applies_muon(i.use_muon_pp, i.use_focus),
        _both("use_muon_pp", "use_focus", "neither", "FOCUS alone", "Muon alone", "both: FOCUS wins"),
    ),
    exact(
        "PPSF-O-010",
        "beta4:option beta2:option",
        "beta4:option",
        lambda i: options.resolved_beta4(i.beta4, i.beta2),
        case("0: the estimate never falls", "DefaultOptions", beta4=0.0, beta2=0.99),
        case("not given: beta2", "", beta4=None, beta2=0.99),
        case("positive", "", beta4=0.9, beta2=0.99),
        case("negative", "", beta4=-0.9, beta2=0.99),
    ),
    exact(
        "PPSF-O-011",
        "own:text use_schedulefree:boolean",
        "correction:text",
        lambda i: options.correction(i.own, i.use_schedulefree),
        case(
            "rectification, where weights are averaged", "DefaultOptions", own="radam_in_moment", use_schedulefree=True
        ),
        case("Adam's, where they are not", "", own="radam_in_moment", use_schedulefree=False),
        case("revision schedulefree", "DefaultOptions", own="radam", use_schedulefree=True),
        case("revision prodigy", "DefaultOptions", own="adam", use_schedulefree=False),
        case("revision update3", "DefaultOptions", own="adam", use_schedulefree=True),
    ),
)
