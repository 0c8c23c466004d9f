"""The examples run, in a short form, learn, and leave their picture."""

from __future__ import annotations

import gzip
import importlib.util
import math
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def idx(values: np.ndarray[Any, Any]) -> bytes:
    """As the files of MNIST are written."""
    return (
        bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.astype("u1").tobytes()
    )


def write_mnist(folder: Path) -> None:
    """The digits of scikit-learn, three times as large with a frame: two files plain, two packed."""
    found = load_digits()
    large = np.pad(np.kron(found.images * 255 / 16, np.ones((3, 3))), ((0, 0), (2, 2), (2, 2)))
    parts = {"train": slice(0, 900), "t10k": slice(900, 1200)}
    for name, part in parts.items():
        images, labels = idx(large[part]), idx(found.target[part])
        if name == "train":
            (folder / f"{name}-images-idx3-ubyte").write_bytes(images)
            (folder / f"{name}-labels-idx1-ubyte").write_bytes(labels)
        else:
            (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, 1))
            (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, 1))


def test_mnist_is_read_from_idx_files_and_learned(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    module = example("mnist")
    images, labels = module.load(tmp_path, "test")
    assert (images.shape, labels.shape) == ((300, 1, 28, 28), (300,))
    assert images.min() == pytest.approx(-0.1307 / 0.3081)
    assert labels.tolist() == load_digits().target[900:1200].tolist()
    rows = module.main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--epochs", "2", "--batch-size", "20"])
    assert rows[-1]["accuracy"] > 70
    assert rows[-1]["d"] > 1e-6
    assert picture(tmp_path / "out" / "mnist.png")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "is not there, nor images.gz"),
        (b"\0\0\x0d\1\0\0\0\1....", "no IDX file of bytes"),
        (b"\0\0\x08\1\0\0\0\5....", r"holds \(5,\), and has 4 bytes"),
    ],
    ids=["missing", "floats", "short"],
)
def test_a_file_that_is_no_idx_file_says_so(data: bytes | None, message: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "images").write_bytes(data)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        example("mnist").read_idx(tmp_path / "images")


def test_digits_are_learned_without_a_learning_rate(tmp_path: Path) -> None:
    found = example("digits").main(["--out", str(tmp_path), "--epochs", "5"])
    errors = {name: (curves["average"] or curves["live"])[-1] for name, curves in found.items()}
    assert errors["ProdigyPlusScheduleFree"] < 10
    assert errors["ProdigyPlusScheduleFree"] < max(errors.values())
    assert picture(tmp_path / "digits.png")


def test_characters_are_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = example("characters").main(["--out", str(tmp_path), "--steps", "60", "--every", "20"])
    assert [row["step"] for row in rows] == [20, 40, 60]
    assert rows[-1]["average"] < rows[0]["average"]
    assert rows[-1]["average"] < math.log(96)  # of blind guessing
    shown = capsys.readouterr()
    assert "def " in shown.out
    assert "d=" in shown.err  # the progress bar
    assert picture(tmp_path / "characters.png")


def test_each_network_has_its_step_size_or_shares_one(tmp_path: Path) -> None:
    found = example("two_networks").main(["--out", str(tmp_path), "--epochs", "4"])
    last = {name: (curves["images/dlr"][-1], curves["labels/dlr"][-1]) for name, curves in found.items()}
    assert last["one for both"][0] == last["one for both"][1]
    assert last["one for each"][0] != last["one for each"][1]
    mean = found["the harmonic mean"]
    assert mean["images/d"][-1] != mean["labels/d"][-1]
    # Their product with `effective_lr` is the mean for both, but for four roundings in each.
    assert abs(last["the harmonic mean"][0] / last["the harmonic mean"][1] - 1) <= 8 * 2**-53
    assert all(curves["wrong"][-1] < 20 for curves in found.values())
    assert picture(tmp_path / "two_networks.png")


@pytest.mark.xdist_group("integrations")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_lora_trains_the_adapters_alone_and_saves_their_average(tmp_path: Path) -> None:
    module = example("lora")
    found = module.main(["--out", str(tmp_path), "--base-steps", "40", "--steps", "40", "--rank", "4"])
    net, loaded = found["net"], found["loaded"]
    kept = {name.replace(".base_layer", ""): value for name, value in net.base_model.model.state_dict().items()}
    assert all(torch.equal(kept[name], value) for name, value in found["base"].items())  # frozen
    names = [name for name, param in net.named_parameters() if param.requires_grad]
    assert names
    assert all("lora_" in name for name in names)
    ours, theirs = net.state_dict(), loaded.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    group = found["optimizer"].param_groups[0]
    assert not group["train_mode"]  # what is in the file is the average
    assert group["d"] > 1e-6
    assert module.mean(found["losses"][-10:]) < module.mean(found["losses"][:10])
    assert picture(tmp_path / "lora.png")


def test_every_example_is_run_here() -> None:
    assert NAMES == ["characters", "digits", "lora", "mnist", "two_networks"]
