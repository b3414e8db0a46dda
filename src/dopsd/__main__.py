"""`python -m dopsd`: the command line, for launchers that take a module."""

from dopsd.commands.main import main

main()
