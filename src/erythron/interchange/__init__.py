"""Cells in other programs' formats.

In: cell tables and outlines. Out: GeoJSON, COCO, Label Studio. Back: the cells that a person labelled there.
Never: changes a call, reads an image.
"""
