"""Which parameters suit some data: a few frames analysed with each choice, scored, and the best written as a config."""
