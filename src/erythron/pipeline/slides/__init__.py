"""A slide from end to end: measured once, counted by tiles, put together as the result of one image.

In: a :class:`~erythron.read.source.Slide` and a model. Out: the folder that a field has. Memory does not grow
with the slide: what is counted of a tile is written at once, and the whole files are made of these parts.
"""
