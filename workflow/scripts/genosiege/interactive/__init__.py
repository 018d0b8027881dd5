"""Figures to look closer at: Vega-Lite charts in pages that ask nothing of the network."""
