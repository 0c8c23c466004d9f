"""What is stepped: lists of shapes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHAPES = Path(__file__).parent / "shapes"
Shape = tuple[int, ...]
#: Sizes up to this one are no widths but kernels and the like: they stay when a model is made narrower.
_FIXED = 16


@dataclass(frozen=True)
class Workload:
    """Shapes of parameters under a name."""

    key: str
    title: str
    shapes: Sequence[Shape]

    @property
    def numel(self) -> int:
        """Number of parameter elements."""
        return sum(math.prod(shape) for shape in self.shapes)

    def part(self, count: int) -> Workload:
        """The same with at most `count` tensors, spread over all of them."""
        return Workload(self.key, self.title, self.shapes[:: -(-len(self.shapes) // count)])


def model(name: str, narrower: int) -> Workload:
    """The parameters of a model in `shapes/`, with all widths divided by `narrower`."""
    data = json.loads((SHAPES / f"{name}.json").read_text("utf-8"))
    shapes = [_narrowed(shape, narrower) for count, shape in data["shapes"] for _ in range(count)]
    title = data["title"] if narrower == 1 else f"{data['title']}, widths / {narrower}"
    return Workload(name, title, shapes)


def _narrowed(shape: Sequence[int], narrower: int) -> Shape:
    return tuple(max(_FIXED, size // narrower) if size > _FIXED else size for size in shape)


def workloads() -> list[Workload]:
    """All of them; about 10 to 100 million elements each."""
    return [
        Workload("lora", "LoRA: 1,000 tensors of rank 16", [(16, 625), (625, 16)] * 500),
        Workload("large", "24 matrices of 2048 x 2048", [(2048, 2048)] * 24),
        model("sd15_unet", 4),
        model("gpt2", 2),
    ]
