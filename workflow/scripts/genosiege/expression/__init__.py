"""The expression arm: classifiers of gene expression, FIMBA, the VAE, and their defences."""
