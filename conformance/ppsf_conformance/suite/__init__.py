"""The judge as a pytest suite for a class of your own: one test per clause, all from one survey.

::

    pytest --pyargs ppsf_conformance.suite --ppsf-target mypackage.optim:MyProdigy --ppsf-revision 1.9 -k PPSF-D

The options are declared by ``ppsf_conformance.pytest_plugin``.
"""
