"""Lets ``python -m stemdask`` run the command line."""

from stemdask.cli.main import app

app(prog_name="stemdask")
