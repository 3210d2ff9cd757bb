"""What a user may write, and every mistake in it said at once."""
