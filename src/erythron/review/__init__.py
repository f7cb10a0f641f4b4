"""What a person says of the cells of a field, beside what the model says.

In: a file of corrected labels, and the counted cells that it is about. Out: a
:class:`~erythron.review.record.Review`, which only grows, and the table of cells with the person's calls.
Never: changes a call of the model, touches a pixel, or writes a file.
"""
