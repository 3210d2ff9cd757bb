"""From a config to the plan of a run: what is done, with which frames, in which blocks, and what it takes."""
