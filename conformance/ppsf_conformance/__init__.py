"""A judge for implementations of Prodigy + Schedule-Free: does a class do what the law says, clause by clause?

Command line: ``ppsf-conformance run module:Class --revision 1.9 --out report/``.
"""
