"""Sphinx configuration: `make docs` builds with every warning an error."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "conformance"), str(ROOT / "docs" / "_ext")]

project = "ppsf"
author = "the ppsf developers"
copyright = "the ppsf developers, Apache-2.0"
release = "0.1.0"

extensions = ["myst_parser", "sphinxcontrib.bibtex", "clauses", "pages", "statements", "soak", "verdicts", "mathml"]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
bibtex_bibfiles = ["refs.bib"]
bibtex_default_style = "unsrt"

nitpicky = True
exclude_patterns = ["_*"]
html_theme = "furo"
html_title = "ppsf"
html_static_path = ["_static"]
html_css_files = ["clauses.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
