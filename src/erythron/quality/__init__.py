"""What a reader must know before the figures: scale, focus, thickness, stain, novelty.

In: pixels, a field's cells and the statistics of the training cells. Out: named flags and areas left out.
Never: changes a figure.
"""
