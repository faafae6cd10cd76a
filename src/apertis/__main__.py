"""`python -m apertis` is the `apertis` command."""

from apertis.cli import main

if __name__ == "__main__":
    main()
