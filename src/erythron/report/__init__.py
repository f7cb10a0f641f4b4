"""Differential to what a person reads: an HTML page, its PDF, an overlay, tables.

In: differentials, cell tables and pixels. Out: files' contents. Never: computes a statistic, other than the
quartiles that a box plot draws.
"""
