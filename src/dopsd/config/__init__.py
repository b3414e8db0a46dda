"""What can be set: params.yaml and the presets, each section as a validated, frozen object.

May import: support.
"""
