"""The procedural world of the miniature: scenes, captions, tokens, concept sets.

May import: method, config, support.
"""
