"""Kinds of attacks in DNA space: each is a module of `genosiege.sequence.attacks`."""

ATTACKS = (
    "genetic",
    "gradient",
    "greedy",
    "natural",
    "published",
    "random",
    "variants",
)

WHITE_BOX = ("gradient",)
"""Kinds that see inside the model."""
NO_SEARCH = ("natural", "random", "variants")
"""Kinds that draw or list edits, whatever the model answers; the others search."""
