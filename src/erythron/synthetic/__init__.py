"""The drawn field: a marrow field with every cell known, for tests, benchmarks and the demo.

In: a specification and a seed. Out: pixels with the true outlines and classes. Never: stands for real data in
a published figure.
"""
