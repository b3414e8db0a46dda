"""What every room may use: files, paths, seeds, pictures, the one error.

May import: nothing of the project.
"""
