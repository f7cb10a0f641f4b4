"""Networks that are fine-tuned by gradient steps, run by Lightning.

In: a recipe of kind ``fine_tuned`` and a manifest with its split. Out: a run with its weights; from its test
part, looked at once, an evaluation. Never: reads the test part in training.
"""
