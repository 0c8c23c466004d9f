"""An optimizer as text: what it does with which parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.nn.parameter import is_lazy

from ppsf_fast.options import OPTIONS, Group, defaults_of
from ppsf_fast.revisions import Revision


def shown(name: str, revision: Revision, groups: Sequence[Group]) -> str:
    """One line for the class, then one for each group: its size, its estimate, and the options that are not default."""
    lines = [f"{name} (revision {revision.name})", *(_line(*each, revision) for each in enumerate(groups))]
    return "\n".join(lines)


def _line(index: int, group: Group, revision: Revision) -> str:
    params = group["params"]
    sizes = [param.numel() for param in params if not is_lazy(param)]
    parts = [f"tensors={len(params)}", f"parameters={sum(sizes):,}"]
    if len(sizes) < len(params):
        parts.append(f"uninitialized={len(params) - len(sizes)}")
    if "d" in group:
        parts.append(f"d={group['d']:.3g}")
    return f"  group {index}: " + ", ".join([*parts, *_differences(group, revision)])


def _differences(group: Group, revision: Revision) -> Iterator[str]:
    defaults = defaults_of(revision)
    for option in OPTIONS:
        if option.name in revision.options and group[option.name] != defaults[option.name]:
            yield f"{option.name}={group[option.name]!r}"
