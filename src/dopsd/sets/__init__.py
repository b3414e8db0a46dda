"""Image-text sets: a picture and its captions, from the release's JSONL, a person's folder or the hub.

May import: method, config, support; no model.
"""
