"""Tests of the library: they run in place, in one generated project."""
