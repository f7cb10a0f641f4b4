"""Labelled sets and the drawn field.

In: the folders of public data sets as their sources lay them out. Out: manifests, one row a cell, with groups
for splitting. Never: imports torch, downloads without being asked.
"""
