"""Sound that moves the controls: `features` are its figures, `react` binds them to the board."""
