"""Calls to a differential.

In: the label of every cell and the model's classes. Out: a
:class:`~erythron.differential.counts.Differential` with exact intervals and indices. Never: imports torch or
a runtime, reads pixels, or drops a cell.
"""
