"""Runs a toy config in a process of its own; unguarded on purpose, as a user's script may be."""

import json
import sys

import toy

from stemdask.config.document import Document
from stemdask.engine.run import execute
from stemdask.errors import StemdaskError

toy.install()
try:
    outcome = execute(Document(json.loads(sys.argv[1])), **json.loads(sys.argv[2]))
except StemdaskError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
sys.exit(outcome.exit_code)
