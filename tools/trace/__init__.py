"""Traceability: do the clauses of ``spec/`` still belong to the code, tests, errata and pages that cite them?

``python -m tools.trace`` checks, ``--write`` regenerates ``spec/index.json``, ``--pin`` renews the hashes
beside ids. The parser (:mod:`clauses`) and the scanners (:mod:`scan`) only read; each rule
(:mod:`rules_spec`, :mod:`rules_code`) is a function from the tree to findings.
"""
