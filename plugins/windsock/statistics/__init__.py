"""Counts, distances, tests and estimates: pure, and shared by the rooms that need them."""
