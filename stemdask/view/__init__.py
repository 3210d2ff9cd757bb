"""The viewer: a run in the browser, frame by frame; Panel and Bokeh are an extra, and imported in this room alone."""
