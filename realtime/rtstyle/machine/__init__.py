"""What this computer has and gives: cores, memory, scheduling, a card that decodes.

Knows nothing of models, and of pictures only how a card decodes them.
"""
