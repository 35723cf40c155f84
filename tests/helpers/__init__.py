"""What several tests share: inputs, models, ways to run a command."""
