"""The bundle: loading, checking and exporting a trained model, and the one that ships.

In: a bundle's folder. Out: a checked :class:`~erythron.bundle.folder.Bundle`. Never: unpickles, trains.
"""
