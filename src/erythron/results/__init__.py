"""What a run leaves on disk: one writer, one reader, a fingerprint for each step.

In: the results of fields in memory, or the folder of a run. Out: that folder, or those results. Never:
touches a pixel, or decides what is counted.
"""
