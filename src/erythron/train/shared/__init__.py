"""What every kind of training shares: sets, framed cells, figures, calibration, the writer of bundles.

In: sets that a recipe names; networks and their calls. Out: labelled cells, figures with intervals,
calibrated thresholds, a bundle's folder with its card. Never: fits a network, or knows of which kind it is.
"""
