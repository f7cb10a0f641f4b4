"""Two readers or two models on the same cells or specimens: agreement and method comparison.

In: tables of cells or counts. Out: paired figures with intervals. Never: says which of the two is right.
"""
