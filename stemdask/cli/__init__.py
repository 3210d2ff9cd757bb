"""The command line: thin verbs, the demonstration, and the check of the machine."""
