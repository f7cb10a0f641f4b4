"""One field, or a batch of them, from command to results: the only folder that knows every other.

In: images and options. Out: the results of each image, written by :mod:`erythron.results`, and the page.
Never: computes a figure itself.
"""
