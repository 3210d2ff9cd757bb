"""These tests run the toy analyses."""

from fixtures import toys as toys
