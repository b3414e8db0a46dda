"""Tables, figures, claims and pages, from files that stages wrote.

May import: study and below.
"""
