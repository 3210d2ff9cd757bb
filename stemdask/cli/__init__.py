"""The command line: thin verbs, the demonstration, and what looks at the machine."""
