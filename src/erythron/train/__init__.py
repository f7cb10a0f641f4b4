"""Training: networks, augmentation, fitting, evaluation. The only folder that imports torch.

In: manifests. Out: bundles and result tables. Never: imported by counting.
"""
