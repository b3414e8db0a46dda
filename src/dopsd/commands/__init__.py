"""The `dopsd` command line: fetch, tune, measure, draw, export, plan.

May import: all rooms but stages.
"""
