"""What may be in a model file, as names: importing this is free."""

MODEL_FILE = "model.skops"
TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""What our own models hold beyond what skops trusts by itself. What a file says of itself is never asked."""
