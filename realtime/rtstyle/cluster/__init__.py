"""Jobs on several machines: Ray hands out the tasks, fsspec reads and writes stores.

Owns what a task is, what is kept so that a run can go on, and where inputs are read from. What is
painted in a task is a job's matter. Knows nothing of the command line.
"""
