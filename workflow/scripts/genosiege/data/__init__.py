"""Where the data comes from: benchmark files, downloads, simulated promoters."""
