"""Calls to a differential.

In: the label of every cell, the model's classes and its confusion matrix on cells that it was not trained on.
Out: a
:class:`~erythron.differential.counts.Differential` with shares and indices, as counted and corrected, their
intervals, reference ranges, what counting more would give and flags of quality; and the agreement of two
readers or models. Never: imports torch or a runtime, drops a cell, or states a diagnosis.
"""
