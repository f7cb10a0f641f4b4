"""Labelled sets: registry, readers, manifests, grouped splits and their audit.

In: the folders of public data sets as their sources lay them out. Out: manifests, one row a cell, with groups
for splitting. Never: imports torch, downloads without being asked.
"""
