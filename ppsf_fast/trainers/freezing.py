"""What of a CLIP text encoder is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ppsf_fast.domains import count, flag
from ppsf_fast.trainers.mistakes import Notebook, inside

_COUNTS = ("unfreeze_last_n_layers", "unfreeze_final_n_layers")
KEYS = (*_COUNTS, "freeze_embeddings", "freeze_final_layer_norm", "doc")


def trained(encoder: nn.Module, section: Mapping[str, Any], path: str, notebook: Notebook) -> list[Tensor]:
    """The parameters to train: of the last n layers, where a number is given; of the embeddings unless frozen.

    `encoder` is laid out as transformers' CLIPTextModel is: `embeddings`, `encoder.layers`, `final_layer_norm`, or
    all of them inside `text_model`. With a number of layers the embeddings are frozen unless `freeze_embeddings` is
    false. What is frozen is left out, and nothing is changed in it.
    """
    for key in section:
        if key not in KEYS:
            notebook.unknown(inside(path, key), key, KEYS)
    layers = _number(section, path, notebook)
    flags = {
        key: notebook.check(flag, inside(path, key), section[key])
        for key in ("freeze_embeddings", "freeze_final_layer_norm")
        if section.get(key) is not None
    }
    freeze_embeddings = flags.get("freeze_embeddings", layers is not None)
    norm_frozen = flags.get("freeze_final_layer_norm", False)
    if layers is None and not freeze_embeddings and not norm_frozen:
        return list(encoder.parameters())
    body = getattr(encoder, "text_model", encoder)
    parts = [getattr(body, name, None) for name in ("embeddings", "encoder", "final_layer_norm")]
    if any(part is None for part in parts) or not hasattr(parts[1], "layers"):
        notebook.note(path, ": this text encoder has no embeddings, encoder.layers and final_layer_norm, so that its "
            "layers cannot be told apart. Leave the section out, or pass a model laid out as CLIPTextModel.",
        )  # fmt: skip
        return []
    return _left(encoder, body, layers, freeze_embeddings, norm_frozen, path, notebook)


def _left(
    encoder: nn.Module, body: Any, layers: int | None, embeddings: bool, norm: bool, path: str, notebook: Notebook
) -> list[Tensor]:
    stack = list(body.encoder.layers)
    if layers is not None and layers > len(stack):
        notebook.note(
            path, f" asks for {layers} layers, and the text encoder has {len(stack)}. Give {len(stack)} or fewer."
        )
        return []
    frozen = stack[: len(stack) - layers] if layers is not None else []
    frozen += [body.embeddings] * embeddings + [body.final_layer_norm] * norm
    out = {id(param) for part in frozen for param in part.parameters()}
    return [param for param in encoder.parameters() if id(param) not in out]


def _number(section: Mapping[str, Any], path: str, notebook: Notebook) -> int | None:
    given = {key: section[key] for key in _COUNTS if section.get(key) is not None}
    if len(given) == 2 and len(set(map(repr, given.values()))) == 2:
        notebook.note(path, f": {' and '.join(_COUNTS)} mean the same and differ: keep one of them.")
        return None
    for key, value in given.items():
        number: int | None = notebook.check(count(), inside(path, key), value)
        return number
    return None
