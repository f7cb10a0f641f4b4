"""The floor: whole files and folders, and their hashes.

In: content and a path. Out: a file or folder that appears under its name only when it is whole. Never: knows
what the content means. Everything that writes to disk goes through here.
"""
