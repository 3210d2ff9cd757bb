"""What a user may write, and a report of every mistake in it at once."""
