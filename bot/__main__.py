"""`python -m bot`: the same as `echochamber run`."""

import sys

from bot.app import main

if __name__ == "__main__":
    sys.exit(main())
