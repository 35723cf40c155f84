"""Training on painted frames of a clip: which frames they are of, and the run."""
