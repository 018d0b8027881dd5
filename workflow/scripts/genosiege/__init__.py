"""GenoSiege: attack, harden and audit machine-learning models of the genome."""

import os

# Threads that wait for each other sleep instead of spinning: on a node shared with other
# jobs, spinning made training several times slower. Must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
