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
