"""Networks that classify a cell from its image and its shape mask.

In: (N, 3, S, S) pixels and (N, 3, S, S) masks. Out: (N, C) logits. Never: read files, augment, train.
"""
