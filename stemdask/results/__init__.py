"""The reading side: a store opened, its groups as datasets and tables, its blocks, and the steps over all frames."""
