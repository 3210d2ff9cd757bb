"""The reading side: a store opened, its groups as datasets and tables, its blocks, and what is made of all frames."""
