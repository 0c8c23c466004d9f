"""State dicts: what a loaded one must hold, and how its tensors come back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

from torch import Tensor

from ppsf_fast.distributed import checkpoints
from ppsf_fast.distributed.sharding import anything_sharded, layout_of
from ppsf_fast.distributed.team import is_first
from ppsf_fast.options import Group, check_groups, check_lr, checked, option_of
from ppsf_fast.revisions import Revision
from ppsf_fast.scalars import Names
from ppsf_fast.stored import check_stored

#: Of what a state dict holds; raised with whatever a reader of the old form would misread.
STATE_VERSION = 1
#: What the releases that this package replaces keep in their groups, and it does not.
_OF_OTHERS = "running_d_numerator"


def check_kind(state_dict: object) -> None:
    """Raise unless something can be a state dict, or become one by hooks."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"load_state_dict() was given a {type(state_dict).__name__}: allowed is what state_dict() of an optimizer "
            "returned. Pass that."
        )


def _check_form(state_dict: Mapping[str, Any]) -> None:
    lacking = [name for name in ("state", "param_groups") if name not in state_dict]
    if lacking:
        raise ValueError(
            f"load_state_dict() was given a dict without {' and '.join(map(repr, lacking))}, but with "
            f"{list(state_dict)[:4]}: allowed is what state_dict() of an optimizer returned. Pass the entry of a "
            "checkpoint that holds it."
        )


def owned(states: defaultdict[Tensor, Any], groups: Sequence[Group]) -> defaultdict[Tensor, Any]:
    """The state without that of parameters which have left their groups: a state dict has no number for them."""
    params = {param for group in groups for param in group["params"]}
    absent = {id(key) for key in states if isinstance(key, Tensor) and key not in params}
    if not absent:
        return states
    kept = {key: state for key, state in states.items() if id(key) not in absent}
    return defaultdict(dict, kept)


def plain(state_dict: dict[str, Any]) -> dict[str, Any]:
    """With numbers of other libraries, such as a schedule may leave in a group, as those of Python."""

    def python(value: Any) -> Any:
        foreign = isinstance(value, Number) and type(value).__module__ != "builtins"
        return value.item() if foreign and hasattr(value, "item") else value

    groups = [{name: python(value) for name, value in group.items()} for group in state_dict["param_groups"]]
    return {**state_dict, "param_groups": groups}


def check(state_dict: Mapping[str, Any], groups: Sequence[Group], revision: Revision) -> None:
    """Raise unless `state_dict` can be loaded into an optimizer of this revision with these groups."""
    _check_form(state_dict)
    saved = state_dict["param_groups"]
    for index, group in enumerate(saved):
        _check_group(group, revision, f"group {index} of the state dict")
    if saved:
        check_groups(saved, revision)
    for key, param, stride in _parameters(saved, groups, revision):
        where = f"parameter {key}"
        checkpoints.check(state_dict["state"].get(key, {}), param, layout_of(param, where), stride, where, revision)


def groups_of(state_dict: Mapping[str, Any], revision: Revision) -> list[Group]:
    """Its groups, checked before, with options as they are kept: on its way a pair may have become a list."""
    return [{**group, **checked(_options(group, revision), revision)} for group in state_dict["param_groups"]]


def _options(group: Group, revision: Revision) -> Group:
    """The options of a saved group but lr, which a scheduler may have brought down to 0."""
    return {name: group[name] for name in revision.options if name != "lr"}


def restored(state_dict: Mapping[str, Any], groups: Sequence[Group], revision: Revision) -> defaultdict[Tensor, Any]:
    """The state that `state_dict` holds, by parameter; entries of no parameter are kept as they are."""
    state: defaultdict[Any, Any] = defaultdict(dict)
    for key, param, stride in _parameters(state_dict["param_groups"], groups, revision):
        if key in state_dict["state"]:
            layout = layout_of(param, f"parameter {key}")
            state[param] = checkpoints.restored(state_dict["state"][key], param, layout, stride, revision)
    known = {key for key, _, _ in _parameters(state_dict["param_groups"], groups, revision)}
    state.update({key: values for key, values in state_dict["state"].items() if key not in known})
    return state


def completed(
    state_dict: dict[str, Any], groups: Sequence[Group], states: Mapping[Tensor, Any], revision: Revision
) -> dict[str, Any]:
    """A state dict in which sharded state says which part of the whole it is; all processes have to make theirs."""
    params = list(_parameters(state_dict["param_groups"], groups, revision))
    if not anything_sharded([param for _, param, _ in params]):
        return state_dict
    there = {
        key: checkpoints.saved(states[param], layout_of(param, f"parameter {key}"), stride)
        for key, param, stride in params
        if param in states
    }
    return {**state_dict, "state": {**state_dict["state"], **there}}


def whole(state_dict: dict[str, Any], groups: Sequence[Group], revision: Revision, sharing: bool) -> dict[str, Any]:
    """What one process would have saved, on the host; all processes have to ask.

    Args:
        state_dict: of this process, completed.
        groups: of the optimizer.
        revision: of the optimizer.
        sharing: whether processes have parameters of their own.

    Returns:
        it, in the first process that has a piece; an empty dict in the others.

    Raises:
        ValueError: other processes have parameters of their own, of which this one knows nothing.
    """
    params = list(_parameters(state_dict["param_groups"], groups, revision))
    layouts = {key: layout_of(param, f"parameter {key}") for key, param, _ in params}
    alone = [key for key, layout in layouts.items() if layout is None]
    if sharing and alone:
        raise ValueError(
            f"whole_state_dict() was called where parameter {alone[0]} is whole, and other processes have whole ones "
            "of their own: allowed are parameters of which all processes have a piece. Let the wrapper that has dealt "
            "them out collect them, as ZeroRedundancyOptimizer.consolidate_state_dict() does."
        )
    keeps = is_first(layouts.values())
    found = {
        key: checkpoints.whole(state_dict["state"][key], layouts[key], stride, keeps)
        for key, _, stride in params
        if key in state_dict["state"]
    }
    return {**state_dict, "state": {**state_dict["state"], **found}} if keeps else {}


def _parameters(
    saved: Sequence[Group], groups: Sequence[Group], revision: Revision
) -> Iterator[tuple[Any, Tensor, int]]:
    """Id, parameter and stride of its samples; torch itself refuses other numbers of groups or parameters."""
    for ours, theirs in zip(groups, saved, strict=False):
        stride = option_of(theirs, "slice_p", revision)
        for key, param in zip(theirs["params"], ours["params"], strict=False):
            yield key, param, stride


def _check_group(group: Group, revision: Revision, where: str) -> None:
    scalars = Names.of(revision).all
    if _OF_OTHERS in group:
        raise ValueError(
            f"{where} was saved by prodigy-plus-schedule-free ({group.get('optimiser_version', 'before 2.0')}), whose "
            "state means something else: allowed is a state dict of ppsf_fast. Load the weights alone, and start a new "
            "optimizer."
        )
    missing = [name for name in (*revision.options, *scalars, "train_mode", "state_version") if name not in group]
    if missing:
        raise ValueError(
            f"{where} lacks {', '.join(missing)}: it was not saved by this optimizer, or under another revision than "
            f"{revision.name}. Load a state dict of the same class and revision, or start anew without one."
        )
    if group["state_version"] != STATE_VERSION:
        raise ValueError(
            f"{where} holds state of version {group['state_version']!r}: allowed is {STATE_VERSION}. Load it with "
            "the release of ppsf_fast that saved it, or start anew without it."
        )
    check_lr(group["lr"])
    checked(_options(group, revision), revision)
    check_stored(group, scalars, where, "Load another state dict.")
