"""The report's tables of the expression arm."""
