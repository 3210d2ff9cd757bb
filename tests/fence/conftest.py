"""These tests have jobs done that stand beside the toys."""

from fixtures import toys as toys
