"""Where the command starts; says what to install beside the optimizer, which needs less."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command of :mod:`ppsf_conformance.cli`; returns its exit code, 2 if it cannot be loaded."""
    try:
        from ppsf_conformance import cli
    except ModuleNotFoundError as missing:
        print(
            f"ppsf-conformance: the judge needs the module {missing.name!r}, which the optimizer does not. "
            "Install ppsf with its extra `conformance`: pip install '.[conformance]' in a copy of the repository.",
            file=sys.stderr,
        )
        return 2
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
