"""Cells in other programs' formats. In: cell tables and outlines. Out: GeoJSON. Never: changes a call."""
