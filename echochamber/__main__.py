"""`python -m echochamber`."""

from echochamber.cli import main

main()
