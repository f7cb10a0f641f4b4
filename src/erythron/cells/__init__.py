"""What a cell is: its class, its outline, its row in the table of cells.

In: nothing. Out: the names, types and columns that every other folder shares. Never: reads a file or a pixel.
"""
