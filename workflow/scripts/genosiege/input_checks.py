"""What the input check says of a model's answers, in words for readers."""

PASSED = "passed"
PHRASES = {
    "constant_model": "the model gives one answer to everything",
    "labels_swapped": "labels look swapped: the model is worse than chance",
    "no_better_than_majority": "no better than chance (the interval of MCC is not above 0)",
}
"""Plain phrase of each way to fail; the first that holds, in this order, is a model's."""
