"""A study: the cells of its grid, their keys, the store of what is finished, and who runs them side by side.

May import: evaluation and below.
"""
