"""Training of the segmentation network.

In: sets with outlines, named by a recipe. Out: the network that :mod:`erythron.segment` runs, and its
cross-validated results. Never: reads a set other than by its manifest.
"""
