"""`python -m rtstyle`: the same as `rtstyle`."""

from rtstyle.cli import main

if __name__ == "__main__":
    main()
