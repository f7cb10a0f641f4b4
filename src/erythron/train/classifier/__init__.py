"""Classifiers, one folder a kind: a frozen encoder with a convex head, and networks that are fine-tuned.

In: a recipe of its kind and labelled cells. Out: a run's folder, and what a bundle is written from. Never:
writes a bundle, or chooses by cells that are judged.
"""
