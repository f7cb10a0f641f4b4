"""Grids of runs with seeds and folds, their table and their figure.

In: manifests. Out: out-of-fold calls of every run, one table, one figure. Never: chooses by the test part.
"""
