"""One training: the loop, the weights that it tunes, the teacher, encoded sets, CUDA graphs, states to go on from.

May import: objectives, sets, backbones, world and below.
"""
