"""One model trained by one process, and sharded over several: are the losses the same?

``python -m benchmarks.together`` trains the writer of benchmarks/text.py from several seeds in one process, which shows
how far two runs lie apart for no reason; then, from the same seeds, over several processes. It stores the curves and
draws them.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

from benchmarks.storing import RESULTS, circumstances, store
from benchmarks.text import Setting, trained, writer
from ppsf_conformance.ranks import run
from ppsf_fast import ProdigyPlusScheduleFree

matplotlib.use("agg")
from matplotlib import pyplot as plt

NAMES = {"1": "one process"}
#: Below this differences are drawn as on a plain scale; it is a unit in the last place of a loss in float32.
LEAST = 2.0**-22
#: Curves by number of processes: of each seed one.
Curves = dict[int, list[list[float]]]


def curve(setting: Setting, seed: int) -> list[float]:
    """The losses on what is held out, in the processes that there are."""
    model = writer(setting, seed)
    optimizer = ProdigyPlusScheduleFree(model.parameters(), **dict(setting.options))
    return [loss for _, loss in trained(setting, model, optimizer, seed, range(setting.steps))]


def curves(setting: Setting, seeds: int, worlds: list[int]) -> Curves:
    """All of them; one process comes first."""
    return {
        world: [run(world, curve, setting, seed, patience=600)[0] for seed in range(seeds)] for world in [1, *worlds]
    }


def spread(found: Curves) -> list[float]:
    """How far the runs of one process lie apart, at each time that was looked."""
    return [max(losses) - min(losses) for losses in zip(*found[1], strict=True)]


def distance(found: Curves, world: int) -> list[float]:
    """How far a sharded run lies from that of one process with the same seed: the farthest of the seeds there are."""
    pairs = [zip(*both, strict=True) for both in zip(found[1], found[world], strict=False)]
    return [max(abs(one - other) for one, other in at) for at in zip(*pairs, strict=True)]


def draw(document: dict[str, Any], path: Path) -> None:
    """The curves of all seeds, and below how far apart they lie."""
    setting, found = document["setting"], document["curves"]
    steps = range(setting["every"], setting["steps"] + 1, setting["every"])
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(6.4, 6.4), sharex=True, layout="constrained")
    for colour, (world, of_seeds) in zip(("#9aa5b1", "#0b6e4f", "#b4541a", "#1f4e8c"), found.items(), strict=False):
        for seed, losses in enumerate(of_seeds):
            upper.plot(
                steps,
                losses,
                color=colour,
                linewidth=1.2,
                label=None if seed else NAMES.get(world, f"{world} processes"),
            )
        if world != "1":
            lower.plot(steps, document["distance"][world], color=colour, label=f"{world} processes and one, same seed")
    lower.plot(steps, document["spread"], color="#1f2933", linestyle=":", label="spread of the seeds, one process")
    upper.set_ylabel("loss on what is held out")
    lower.set(xlabel="steps", ylabel="difference")
    lower.set_yscale("symlog", linthresh=LEAST)
    for axes in (upper, lower):
        axes.legend(frameon=False, fontsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.suptitle(f"Python's standard library, by character\n{document['cpu']}, {document['date']}", fontsize=10)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def document_of(setting: Setting, found: Curves) -> dict[str, Any]:
    """What is stored: curves, and with what they were made."""
    return {
        **circumstances(),
        "cores": os.cpu_count(),
        "setting": asdict(setting),
        "curves": {str(world): losses for world, losses in found.items()},
        "spread": spread(found),
        "distance": {str(world): distance(found, world) for world in found if world != 1},
    }


def main(given: list[str] | None = None) -> None:
    """Train, print, store and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.together", description=__doc__)
    parser.add_argument("--world", type=int, nargs="+", default=[2, 3, 4], help="numbers of processes")
    parser.add_argument("--seeds", type=int, default=5, help="how many runs of each")
    parser.add_argument("--steps", type=int, default=Setting.steps)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of results")
    options = parser.parse_args(given)
    setting = Setting(steps=options.steps)
    document = document_of(setting, curves(setting, options.seeds, options.world))
    for world, distances in document["distance"].items():
        print(
            f"{world} processes: at most {max(distances):.2e} from one; seeds differ by {min(document['spread']):.2e}"
        )
    path = store(document, options.out, "together-gloo")
    draw(document, path.with_suffix(".svg"))
    print(f"{path}\n{path.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
