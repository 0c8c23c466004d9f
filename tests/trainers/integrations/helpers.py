"""A small problem with a validation set, and what is compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Points(Dataset[dict[str, Tensor]]):
    """A linear map to be learned: as the Trainer takes its examples."""

    def __init__(self, size: int = 64, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(size, 4, generator=generator)
        self.labels = self.inputs @ torch.tensor([1.0, -2.0, 3.0, 0.5])

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"inputs": self.inputs[index], "labels": self.labels[index]}


class Net(nn.Module):
    """Returns its loss, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        outputs = self.layers(inputs).squeeze(-1)
        return {"loss": (outputs - labels).square().mean(), "logits": outputs}


def same(state: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal in every bit that a comparison of floats sees."""
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def copied(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}
