"""Pixels to cells.

In: RGB pixels and, where known, microns per pixel. Out: a
:class:`~erythron.segment.segmentation.Segmentation`, nucleus and cytoplasm of every nucleated cell. Never:
names a cell or reads a file.
"""
