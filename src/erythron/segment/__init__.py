"""Pixels to cells.

In: pixels relative to the empty smear and microns per pixel. Out: a
:class:`~erythron.cells.outline.CellOutline` for every nucleated cell. Never: names a cell or reads a file.
"""
