"""A small transformer that learns to write Python, character by character, from the sources of the standard library.

    python examples/characters.py

Reads the library of the Python that runs it. Takes about a minute on two cores.
"""

from __future__ import annotations

import argparse
import math
import sysconfig
from pathlib import Path

import matplotlib
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.trainers import progress

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WINDOW = 64
LETTERS = "\n" + "".join(map(chr, range(32, 127)))


def text_of(folder: Path, size: int) -> Tensor:
    """The first `size` characters of the sources in a folder, as numbers; what is not ASCII is left out."""
    number = {letter: index for index, letter in enumerate(LETTERS)}
    found: list[int] = []
    for path in sorted(folder.glob("*.py")):
        found += [number[letter] for letter in path.read_text(encoding="utf-8", errors="ignore") if letter in number]
        if len(found) >= size:
            break
    return torch.tensor(found[:size])


class Writer(nn.Module):
    """Two layers of attention over the last 64 characters."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), width), nn.Embedding(WINDOW, width)
        for table in (self.letters, self.places):
            nn.init.normal_(table.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, len(LETTERS))

    def forward(self, text: Tensor) -> Tensor:
        """Numbers of shape (batch, time) -> scores of the next character, (batch, time, letters)."""
        length = text.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        hidden = self.letters(text) + self.places.weight[:length]
        return self.out(self.norm(self.layers(hidden, mask, is_causal=True)))


def batch_of(text: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Windows from anywhere, and the characters that follow each of theirs."""
    starts = torch.randint(len(text) - WINDOW - 1, (size, 1), generator=generator)
    windows = text[starts + torch.arange(WINDOW + 1)]
    return windows[:, :-1], windows[:, 1:]


def loss_of(net: nn.Module, text: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Mean loss of the next character, in nats."""
    inputs, targets = batch_of(text, size, generator)
    return cross_entropy(net(inputs).flatten(0, 1), targets.flatten())


@torch.no_grad()
def written(net: nn.Module, start: str, length: int) -> str:
    """What the network writes after `start`."""
    generator = torch.Generator().manual_seed(0)
    text = [LETTERS.index(letter) for letter in start]
    for _ in range(length):
        scores = net(torch.tensor([text[-WINDOW:]]))[0, -1]
        text.append(int(torch.multinomial((scores / 0.8).softmax(0), 1, generator=generator)))
    return "".join(LETTERS[number] for number in text)


def main(arguments: list[str] | None = None) -> list[dict[str, float]]:
    """Train; returns a row for each look at held-out text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--out", type=Path, default=Path("build/examples"), help="where characters.png goes")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--every", type=int, default=25, help="steps between two looks")
    given = parser.parse_args(arguments)

    torch.manual_seed(0)
    text = text_of(given.sources, 500_000)
    train, held_out = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    net, shuffle = Writer(), torch.Generator().manual_seed(0)
    optimizer = ProdigyPlusScheduleFree(net.parameters())

    def look() -> float:
        with torch.no_grad():
            return loss_of(net, held_out, 64, torch.Generator().manual_seed(1)).item()

    rows = []
    for step in progress(range(1, given.steps + 1), optimizer, desc="training"):
        optimizer.zero_grad()
        loss_of(net, train, 16, shuffle).backward()
        optimizer.step()
        if step % given.every == 0:
            live = look()
            with optimizer.averaged():
                average = look()
            rows.append({"step": step, "live": live, "average": average, "d": optimizer.param_groups[0]["d"]})
    optimizer.eval()
    print(f"held-out loss {rows[-1]['average']:.3f} nats a character; blind guessing has {math.log(len(LETTERS)):.3f}")
    print(written(net, "def ", 200))
    draw(rows, given.out)
    return rows


def draw(rows: list[dict[str, float]], out: Path) -> None:
    """Losses and d by the step."""
    out.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=(2, 1))
    steps = [row["step"] for row in rows]
    left.plot(steps, [row["average"] for row in rows], color="black", lw=2, label="average")
    left.plot(steps, [row["live"] for row in rows], color="black", ls=":", label="weights of training")
    left.set(xlabel="step", ylabel="held-out loss (nats a character)")
    left.legend()
    right.plot(steps, [row["d"] for row in rows], color="tab:orange")
    right.set(xlabel="step", ylabel="d", yscale="log")
    figure.savefig(out / "characters.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
