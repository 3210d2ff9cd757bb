"""Pictures from a store."""
