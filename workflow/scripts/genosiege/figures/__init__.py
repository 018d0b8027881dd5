"""The report's figures, as SVG that reads in colour, in grey and as text."""
