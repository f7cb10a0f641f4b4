"""erythron: counts erythroid precursors in bone-marrow smears by maturation stage.

A cell is followed from file to report through the folders in this order: ``read``, ``segment``, ``shape``,
``classify``, ``differential``, ``report`` and ``interchange``. Importing the package imports none of them.
Research use only: a qualified person confirms the calls.
"""

__version__ = "0.1.0"
