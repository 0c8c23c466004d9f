"""MNIST from a folder of IDX files, with the network of Schedule-Free's own example.

    python examples/mnist.py --data path/to/mnist

The folder holds the four files of the set under their usual names (train-images-idx3-ubyte, train-labels-idx1-ubyte,
t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte), each plain or with .gz. Nothing is downloaded. An epoch of the whole
set takes about a minute on two cores.
"""

from __future__ import annotations

import argparse
import gzip
import math
import struct
from pathlib import Path

import matplotlib
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ppsf_fast import ProdigyPlusScheduleFree

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def read_idx(path: Path) -> Tensor:
    """An IDX file of bytes: two zero bytes, 8 for bytes, the number of axes, each axis as a big-endian int32, the data.

    Raises:
        FileNotFoundError: there is neither the file nor one with .gz.
        ValueError: it is no IDX file of bytes, or does not hold as many as it says.
    """
    packed = path.with_name(path.name + ".gz")
    if not path.exists() and not packed.exists():
        raise FileNotFoundError(f"{path} is not there, nor {packed.name}: put the files of MNIST into this folder.")
    data = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes: it must begin with 0, 0, 8.")
    start = 4 + 4 * data[3]
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise ValueError(f"{path} says that it holds {shape}, and has {len(data) - start} bytes.")
    return torch.frombuffer(bytearray(data[start:]), dtype=torch.uint8).reshape(shape)


def load(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Images of shape (n, 1, 28, 28), normalised as is usual for MNIST, and labels of shape (n,)."""
    images, labels = (read_idx(folder / name) for name in FILES[part])
    return ((images[:, None].float() / 255) - 0.1307) / 0.3081, labels.long()


def network() -> nn.Sequential:
    """Two convolutions and two layers, with dropout between."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip


@torch.no_grad()
def test(net: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, int]:
    """Mean loss, and how many are right."""
    outputs = torch.cat([net(part) for part in images.split(1000)])
    return cross_entropy(outputs, labels).item(), int((outputs.argmax(1) == labels).sum())


def main(arguments: list[str] | None = None) -> list[dict[str, float]]:
    """Train; returns a row for each epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the four files")
    parser.add_argument("--out", type=Path, default=Path("build/examples"), help="where mnist.png goes")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch-size", type=int, default=64)
    given = parser.parse_args(arguments)

    torch.manual_seed(1)
    images, labels = load(given.data, "train")
    held_out = load(given.data, "test")
    net = network()
    optimizer = ProdigyPlusScheduleFree(net.parameters())
    rows = []
    for epoch in range(1, given.epochs + 1):
        net.train()
        optimizer.train()
        for batch in torch.randperm(len(images)).split(given.batch_size):
            optimizer.zero_grad()
            cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
        net.eval()
        optimizer.eval()  # the average: what is tested, and what one would save
        loss, right = test(net, *held_out)
        share = 100 * right / len(held_out[1])
        rows.append({"epoch": epoch, "loss": loss, "accuracy": share, "d": optimizer.param_groups[0]["d"]})
        print(f"Epoch {epoch}: Prodigy LR {rows[-1]['d']:.6f}")
        print(f"  test loss {loss:.4f}, accuracy {right}/{len(held_out[1])} ({share:.2f}%)")
    draw(rows, given.out)
    return rows


def draw(rows: list[dict[str, float]], out: Path) -> None:
    """Accuracy and d by the epoch."""
    out.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    left.plot(epochs, [row["accuracy"] for row in rows], marker=".")
    left.set(xlabel="epoch", ylabel="accuracy on the test set (%)")
    right.plot(epochs, [row["d"] for row in rows], marker=".", color="tab:orange")
    right.set(xlabel="epoch", ylabel="d", yscale="log")
    figure.savefig(out / "mnist.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
