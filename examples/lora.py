"""Fine-tuning as people do it with diffusion models: a small U-net of diffusers, LoRA through peft, images made here.

    python examples/lora.py

The network first learns to draw discs. Then its weights are frozen, and adapters on its attention and convolutions
learn to draw squares. The adapters are saved with averaged weights, and loaded again. Takes about a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import torch
from diffusers import DDPMScheduler, UNet2DModel
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.trainers import check

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIZE = 16
ADAPTED = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2"]


def images(shape: str, count: int, generator: torch.Generator) -> Tensor:
    """Discs or squares somewhere, in [-1, 1]: shape (count, 1, 16, 16)."""
    across, down, radius = (torch.rand(3, count, 1, 1, generator=generator) * 6 + 5).unbind()
    line = torch.arange(SIZE, dtype=torch.float32)
    x, y = (line - across).abs(), (line[:, None] - down).abs()
    far = (x**2 + y**2).sqrt() if shape == "disc" else torch.maximum(x, y)
    return ((radius - 2) / 2 - far).clamp(-0.5, 0.5)[:, None] * 2


def network() -> UNet2DModel:
    """About 200,000 weights."""
    return UNet2DModel(
        sample_size=SIZE, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8, attention_head_dim=8,
    )  # fmt: skip


def loss_of(net: Any, noise: DDPMScheduler, clean: Tensor, generator: torch.Generator) -> Tensor:
    """How well the noise is told from the image, at times of chance."""
    added = torch.randn(clean.shape, generator=generator)
    times = torch.randint(noise.config.num_train_timesteps, (len(clean),), generator=generator)
    return (net(noise.add_noise(clean, added, times), times).sample - added).square().mean()


def train(net: Any, noise: DDPMScheduler, shape: str, steps: int) -> tuple[list[float], list[float], Any]:
    """Train what asks for gradients; returns losses, d, and the optimizer in eval mode."""
    generator = torch.Generator().manual_seed(0)
    optimizer = ProdigyPlusScheduleFree([param for param in net.parameters() if param.requires_grad])
    check(optimizer, max_grad_norm=0.0, warmup_steps=0)
    losses, estimates = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(net, noise, images(shape, 16, generator), generator)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        estimates.append(optimizer.param_groups[0]["d"])
    return losses, estimates, optimizer.eval()


@torch.no_grad()
def drawn(net: Any, noise: DDPMScheduler, count: int, steps: int = 25) -> Tensor:
    """Images that the network draws from noise."""
    generator = torch.Generator().manual_seed(1)
    noise.set_timesteps(steps)
    sample = torch.randn((count, 1, SIZE, SIZE), generator=generator)
    for time in noise.timesteps:
        sample = noise.step(net(sample, time).sample, time, sample, generator=generator).prev_sample
    return sample.clamp(-1, 1)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Train the network and the adapters; returns what a test looks at."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/examples"), help="where lora.png and lora.pt go")
    parser.add_argument("--base-steps", type=int, default=400)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--rank", type=int, default=8)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    noise, base = DDPMScheduler(num_train_timesteps=100), network()
    before, *_ = train(base, noise, "disc", given.base_steps)
    discs = drawn(base, noise, 6)
    frozen = {name: value.clone() for name, value in base.state_dict().items()}

    config = LoraConfig(r=given.rank, lora_alpha=given.rank, target_modules=ADAPTED)
    net = get_peft_model(base, config)
    net.print_trainable_parameters()
    losses, estimates, optimizer = train(net, noise, "square", given.steps)
    torch.save(get_peft_model_state_dict(net), given.out / "lora.pt")  # in eval mode: the averages

    again = network()
    again.load_state_dict(frozen)
    loaded = get_peft_model(again, config)
    set_peft_model_state_dict(loaded, torch.load(given.out / "lora.pt", weights_only=True))
    squares = drawn(loaded, noise, 6)
    draw(discs, squares, losses, estimates, given.out)
    first, last = mean(losses[:20]), mean(losses[-20:])
    print(f"noise left in discs {mean(before[-20:]):.3f}; in squares {first:.3f} at first, {last:.3f} at last")
    return {"base": frozen, "net": net, "loaded": loaded, "optimizer": optimizer, "losses": losses, "before": before}


def mean(values: list[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


def draw(discs: Tensor, squares: Tensor, losses: list[float], estimates: list[float], out: Path) -> None:
    """Samples of the network without and with the adapters; loss and d of their training."""
    figure = plt.figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    for row, (name, samples) in enumerate((("without the adapters", discs), ("with them", squares))):
        for column, sample in enumerate(samples):
            axes = left.add_subplot(2, len(samples), row * len(samples) + column + 1)
            axes.imshow(sample[0], cmap="gray", vmin=-1, vmax=1)
            axes.set_axis_off()
            if column == 0:
                axes.set_title(name, loc="left", fontsize=10)
    above, below = right.subplots(2, 1, sharex=True)
    smooth = torch.tensor(losses).unfold(0, min(10, len(losses)), 1).mean(1)
    above.plot(smooth)
    above.set(ylabel="loss (mean of 10)")
    below.plot(estimates, color="tab:orange")
    below.set(xlabel="step of the adapters", ylabel="d", yscale="log")
    figure.savefig(out / "lora.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
