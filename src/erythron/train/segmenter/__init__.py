"""Training of the segmenter.

In: the public sets with drawn outlines. Out: the two networks that :mod:`erythron.segment` runs, and their
cross-validated results. Never: trains on a set whose licence does not allow it.
"""
