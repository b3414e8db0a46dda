"""The paper's mathematics: the time convention, the roll-out, what a generator reads.

May import: config, support.
"""
