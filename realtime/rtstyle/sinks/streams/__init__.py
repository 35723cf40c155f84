"""Live streams over the network: `stream` keeps one going, `sender` is one connection of it."""
