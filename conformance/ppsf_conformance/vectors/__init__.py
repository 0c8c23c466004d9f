"""Test vectors: what each clause gives, as data for implementations in any language.

``catalogue`` says what goes in, ``expected`` computes what may come out, ``steps`` does the same for whole steps, and
``files`` writes it all. ``docs/vectors.md`` describes the files for those who read them.
"""
