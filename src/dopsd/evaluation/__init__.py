"""What is drawn for a judgement, who looks at it, and the statistics.

May import: training and below.
"""
