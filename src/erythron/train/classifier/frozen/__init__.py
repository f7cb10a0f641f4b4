"""The frozen encoder: pooled features and measurements of a cell under a convex head.

In: a recipe of kind ``frozen_encoder`` and its sets. Out: a run with out-of-fold calls of every cell. Never:
trains the encoder; judges a cell by a head that saw it.
"""
