"""Training: a recipe to a run, its figures and a bundle. The only folder that imports torch.

In: a recipe, which names its sets. Out: a run's folder; from it an evaluation and a bundle. Never: imported
by counting.

``recipe`` states what is trained, ``trainer`` does it for either kind of recipe. ``classifier`` and
``segmenter`` hold what is particular to each network, ``shared`` what all of them use, ``experiments`` grids
of runs.
"""
