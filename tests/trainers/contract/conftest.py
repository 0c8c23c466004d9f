"""Each test of the contract holds for every class that may stand in a trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.trainers.contract.helpers import MAKERS


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return MAKERS[request.param]
