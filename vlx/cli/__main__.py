"""The command line as ``python -m vlx.cli``."""

from vlx.cli.app import main

main()
