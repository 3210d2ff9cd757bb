"""One self-contained HTML file with the figures and the numbers of a store."""

from stemdask.report.page import summary, write

__all__ = ["summary", "write"]
