"""Differential to what a person reads: an HTML page, an overlay, tables.

In: differentials, cell tables and pixels. Out: files' contents. Never: computes a statistic.
"""
