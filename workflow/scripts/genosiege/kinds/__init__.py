"""What kinds there are: a table per registry, light to import, and each in a file of its own.

The workflow reads these tables at every call, and a registry imports by name what its table
says. Rules have the modules of the kinds that they use as inputs, and not the tables: for a new
kind no job is run again.
"""
