"""Sphinx configuration: `make docs` builds with every warning an error."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "conformance"), str(ROOT / "docs" / "_ext")]

project = "ppsf"
author = "the ppsf developers"
copyright = "the ppsf developers, Apache-2.0"
release = "0.1.0"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "clauses",
    "pages",
    "errata",
    "lookup",
    "measurements",
    "statements",
    "soak",
    "verdicts",
    "mathml",
    "computed",
]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
bibtex_bibfiles = ["refs.bib"]
bibtex_default_style = "unsrt"

# Docstrings write names in single backticks, as everything else here does.
default_role = "code"
autodoc_typehints = "none"
napoleon_use_rtype = False
autodoc_member_order = "bysource"

nitpicky = True
# Named in docstrings, and documented elsewhere or not at all.
nitpick_ignore_regex = [
    ("py:.*", r"torch\..*|collections\.abc\..*|RemovableHandle"),
    ("py:.*", r"ppsf_ref\.(bounded\.Arithmetic|numbers|step)|SHOWN"),
]
exclude_patterns = ["_*"]
html_theme = "furo"
html_title = "ppsf"
html_static_path = ["_static"]
html_css_files = ["clauses.css", "computed.css"]
html_js_files = ["filter.js", "highlight.js"]
html_favicon = "_static/icon.svg"
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
# Links inside of the documentation are looked at by tools.site; `make linkcheck` follows the others.
linkcheck_ignore = [r"(?!https?:)"]
