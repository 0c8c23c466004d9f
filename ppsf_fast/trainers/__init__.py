"""Optimizers from the configurations of trainers, and advice on how they are used.

>>> import torch
>>> unet = torch.nn.Linear(2, 1)
>>> optimizer = from_onetrainer({"optimizer": "PRODIGY", "d_coef": 2.0}, {"unet": unet})
>>> optimizer.param_groups[0]["name"], optimizer.param_groups[0]["d_coef"]
('unet', 2.0)

Other packages are imported when a configuration names one of their optimizers, and not before. Callbacks for the
Trainer of transformers and for Lightning are in :mod:`ppsf_fast.trainers.huggingface` and
:mod:`ppsf_fast.trainers.lightning`, which import these packages.
"""

from ppsf_fast.trainers.advice import Advice, AdviceWarning, check
from ppsf_fast.trainers.everydream import EveryDream, from_everydream
from ppsf_fast.trainers.mistakes import ConfigError, Mistake
from ppsf_fast.trainers.onetrainer import from_onetrainer
from ppsf_fast.trainers.schedule import Schedule
from ppsf_fast.trainers.sdscripts import from_sd_scripts
from ppsf_fast.trainers.watching import JsonLog, progress, rates, to_tensorboard

__all__ = [
    "Advice", "AdviceWarning", "ConfigError", "EveryDream", "JsonLog", "Mistake", "Schedule", "check",
    "from_everydream", "from_onetrainer", "from_sd_scripts", "progress", "rates", "to_tensorboard",
]  # fmt: skip
