"""Where work runs.

In: paths and options. Out: finished result folders, and the reason for each input that failed. Never:
leaves a half-written file under its final name, or lets one bad input stop a batch.
"""
