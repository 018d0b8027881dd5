"""What kinds there are: a table per registry, light to import, and each in a file of its own.

The workflow reads these tables at every call, and a registry imports its own by name: so a new
kind is one line here, and only jobs that use its registry run again.
"""
