"""What the tests with several processes share.

``run(world, function, *args)`` calls a function that can be imported in each process of a gloo group and returns what
the calls returned, by rank. Modules of such tests set ``pytestmark = ONE_AT_A_TIME``, so that the processes of two
tests do not compete for the same cores.
"""

from __future__ import annotations

import pytest

from ppsf_conformance.ranks import RankError, run

__all__ = ["ONE_AT_A_TIME", "RankError", "run"]

ONE_AT_A_TIME = pytest.mark.xdist_group("processes")
