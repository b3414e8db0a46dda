"""The `dopsd` command line: fetch, tune, measure, draw, export.

May import: all rooms but stages.
"""
