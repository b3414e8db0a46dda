"""Who looks at pictures: one file each.

May import: training and below, and evaluation's statistics.
"""
