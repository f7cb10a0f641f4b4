"""Files to pixels.

In: the path of a field (JPEG, PNG, BMP, TIFF). Out: a :class:`~erythron.read.image.SmearImage`, RGB uint8
with microns per pixel where the file states them. Never: guesses a scale, or changes colours beyond what the
file's own colour model and bit depth require.
"""
