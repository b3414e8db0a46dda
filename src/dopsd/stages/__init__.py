"""One thin file a DVC stage: read params.yaml, call one function, write its outputs.

May import: all rooms but commands.
"""
