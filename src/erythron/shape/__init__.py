"""A cell's mask to its shape.

In: pixels, the :class:`~erythron.cells.outline.CellOutline` of each cell and microns per pixel where known.
Out: shape masks (cell, nucleus, hull) and named, unit-carrying measurements, one row a cell. Never: imports
torch or a runtime.
"""
