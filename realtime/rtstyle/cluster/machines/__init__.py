"""Where the tasks of a run are done: on the machines of a Ray cluster, or in this process.

Knows what a task takes of a machine, not what it paints.
"""
