"""Revision 1.9 written from scratch, to be read: no speed, few options, and every clause that it claims holds.

It is an example for those who audit a class of their own (docs/guides/audit.md), and the ground on which the mistakes
of ``mistakes.py`` are made. It imports nothing but torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

STRIDE = 11


def check(option: str, value: Any, allowed: bool, domain: str) -> None:
    """Refuse a value outside its domain."""
    if not allowed:
        raise ValueError(f"{option}={value!r} is not allowed: it has to be {domain}")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def sampled(t: Tensor) -> Tensor:
    """Every eleventh element, in row-major order, in float32."""
    return t.reshape(-1)[::STRIDE].float()


def total(t: Tensor) -> float:
    """The sum of all elements, accumulated in float64."""
    return float(t.sum(dtype=torch.float64))


def factored_axes(shape: torch.Size) -> tuple[int, int] | None:
    """The axes over which rows and columns are means: the largest, and the one before it."""
    if len(shape) < 2 or 0 in shape or max(shape) < 32:
        return None
    *_, dc, dr = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
    return dr, dc


class Lawful(torch.optim.Optimizer):
    """Prodigy with Schedule-Free averaging, revision 1.9."""

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.99),
        beta3: float | None = None,
        weight_decay: float = 0.0,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        eps: float | None = 1e-8,
        factored: bool = True,
        use_stableadamw: bool = True,
        stochastic_rounding: bool = True,
    ) -> None:
        given = dict(locals())
        super().__init__(params, {name: given[name] for name in list(given)[2:] if not name.startswith("_")})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, with everything it will need."""
        group = {**self.defaults, **param_group}
        group["params"] = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        self._check(group)
        trains = all(other["train_mode"] for other in self.param_groups)
        numbers = {"d": group["d0"], "d_prev": group["d0"], "d_numerator": 0.0, "d_denom": 0.0, "weight_sum": 0.0}
        super().add_param_group({**group, **numbers, "k": 1, "train_mode": trains})

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "d0", "d_coef"):
            check(name, group[name], is_number(group[name]) and group[name] > 0, "a number > 0")
        betas = group["betas"]
        pair = isinstance(betas, (tuple, list)) and len(betas) == 2 and all(map(is_number, betas))
        check("betas", betas, pair and 0 < betas[0] < 1 and 0 <= betas[1] < 1, "two numbers in (0, 1) and [0, 1)")
        beta3, eps, decay = group["beta3"], group["eps"], group["weight_decay"]
        check("beta3", beta3, beta3 is None or (is_number(beta3) and 0 <= beta3 < 1), "None or in [0, 1)")
        check("eps", eps, eps is None or (is_number(eps) and eps > 0), "None or > 0")
        check("weight_decay", decay, is_number(decay) and decay >= 0, ">= 0")
        for name in ("factored", "use_stableadamw", "stochastic_rounding"):
            check(name, group[name], isinstance(group[name], bool), "a bool")
        for p in group["params"]:
            check("dtype", p.dtype, p.dtype in (torch.float32, torch.bfloat16), "float32 or bfloat16")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load, and keep every dtype: torch would cast the state to the dtype of its parameter."""
        super().load_state_dict(state_dict)
        params = [p for group in self.param_groups for p in group["params"]]
        for index, kept in state_dict["state"].items():
            self.state[params[index]] = {name: value.clone() for name, value in kept.items()}

    # --- modes -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def eval(self) -> None:
        """Show the averaged weights x."""
        self._switch(False, lambda beta1: 1 - 1 / beta1)

    @torch.no_grad()
    def train(self) -> None:
        """Show the weights y, at which gradients are taken."""
        self._switch(True, lambda beta1: 1 - beta1)

    def _switch(self, mode: bool, share: Callable[[float], float]) -> None:
        for group in self.param_groups:
            for p in group["params"] if group["train_mode"] != mode else ():
                if "z" in self.state[p]:
                    p.copy_(torch.lerp(p.float(), self.state[p]["z"].float(), share(group["betas"][0])))
            group["train_mode"] = mode

    # --- a step ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step."""
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError("step() in eval mode: call train() first")
        for group in self.param_groups:
            check("lr", group["lr"], is_number(group["lr"]) and group["lr"] >= 0, "a number >= 0")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parts = [(g, [p for p in g["params"] if p.grad is not None and g["lr"]]) for g in self.param_groups]
        grads = [p.grad for _, params in parts for p in params]
        for grad in grads:
            if grad.layout != torch.strided or grad.is_complex():
                raise TypeError("gradients have to be dense and real")
        if all(bool((grad.abs() < 2.0**56).all()) for grad in grads):
            active = [group["d"] for group in self.param_groups if group["k"] > 1]
            mean = len(active) / sum(1 / d for d in active) if active else None
            for index, (group, params) in enumerate(parts):
                if params:  # the noise of a step depends on nothing but its number and the group
                    noise = torch.Generator().manual_seed(1_000_000 * index + group["k"])
                    self._move(group, params, mean or group["d"], noise)
        return loss

    def _move(self, group: dict[str, Any], params: list[Tensor], d_step: float, noise: torch.Generator) -> None:
        d, beta1, beta2 = group["d"], *group["betas"]
        beta3 = math.sqrt(beta2) if group["beta3"] is None else group["beta3"]
        dlr = d_step * group["lr"]
        weight = dlr**2
        group["weight_sum"] += weight
        c = weight / group["weight_sum"] if group["weight_sum"] else 0.0
        bound = 1.0 if d > group["d0"] else 50.0
        item = denom = 0.0
        for p in params:
            state, g, y = self._state(p, group), p.grad.float(), p.float()
            du = math.sqrt(d)
            item += du * total(sampled(g) * (state["p0"].float() - sampled(y)))
            state["s"].mul_(beta3).add_(sampled(g), alpha=du)
            denom += total(state["s"].abs())
            u = self._direction(g, state, group, beta2 * (group["d_prev"] / d) ** 2, bound)
            if group["weight_decay"]:
                u = u + group["weight_decay"] * y
            z = state["z"].float()
            self._store(p, torch.lerp(y, z, c) - u * (dlr * (1 - beta1 * (1 - c))), group, noise)
            self._store(state["z"], z - u * dlr, group, noise)
        numerator = beta3 * group["d_numerator"] + (item if d > group["d0"] else max(item, 0.0))
        group.update(d_prev=d, k=group["k"] + 1)
        if not (math.isfinite(numerator) and math.isfinite(denom)):
            return
        d_hat = math.atan2(group["d_coef"] * numerator, denom) if denom > 0 else 0.0
        group.update(d=max(d, d_hat), d_numerator=numerator, d_denom=denom)

    def _state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[p]
        if not state:
            start = p.detach().reshape(-1)[::STRIDE].clone()
            state.update(z=p.detach().clone(), p0=start, s=torch.zeros_like(start, dtype=torch.float32))
            if axes := factored_axes(p.shape) if group["factored"] else None:
                shapes = [[1 if axis == one else size for axis, size in enumerate(p.shape)] for one in axes]
                state.update(row=torch.zeros(shapes[0]), col=torch.zeros(shapes[1]))
            else:
                state["v"] = torch.zeros_like(p, dtype=torch.float32)
        return state

    @staticmethod
    def _direction(g: Tensor, state: dict[str, Tensor], group: dict[str, Any], memory: float, bound: float) -> Tensor:
        new = 1 - group["betas"][1]
        if "v" in state:
            denom = state["v"].mul_(memory).addcmul_(g, g, value=new).sqrt()
        else:
            dr, dc = factored_axes(g.shape) or (0, 0)
            row = state["row"].mul_(memory).add_((g * g).mean(dr, keepdim=True), alpha=new)
            col = state["col"].mul_(memory).add_((g * g).mean(dc, keepdim=True), alpha=new)
            mean = row.mean(dc, keepdim=True)
            denom = torch.where(mean > 0, row / mean, 0.0).sqrt() * col.sqrt()
        if group["eps"] is None:
            return torch.atan2(g, denom * bound) * bound
        u = g / (denom + group["eps"])
        if group["use_stableadamw"] and u.numel():
            u = u / max(1.0, math.sqrt(total(u * u) / u.numel()) / bound)
        return u

    @staticmethod
    def _store(target: Tensor, value: Tensor, group: dict[str, Any], noise: torch.Generator) -> None:
        if target.dtype == torch.bfloat16 and group["stochastic_rounding"]:
            drawn = torch.randint(0, 1 << 16, value.shape, dtype=torch.int32, generator=noise)
            bits = (value.view(torch.int32) + drawn) & -0x10000
            value = torch.where(value.isnan(), value, bits.view(torch.float32))
        target.copy_(value)
