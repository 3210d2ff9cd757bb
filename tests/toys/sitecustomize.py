"""Puts the toy into the registry of every Python process that has this folder on its path."""

import toy

toy.install()
