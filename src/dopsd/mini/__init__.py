"""How the miniature was made, part by part, and how good it is.

May import: study and below.
"""
