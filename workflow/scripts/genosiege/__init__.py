"""GenoSiege: attack, harden and audit machine-learning models of the genome."""

__version__ = "0.1.0"
