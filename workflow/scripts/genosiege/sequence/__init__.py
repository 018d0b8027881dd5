"""The sequence arm: encoders of DNA, the oracle in front of them, and the attacks."""
