"""Crop and shape mask to calibrated class probabilities.

In: pixels, outlines, measurements and a model bundle. Out: one row of probabilities a cell. Never:
counts, or decides what a report says.
"""
