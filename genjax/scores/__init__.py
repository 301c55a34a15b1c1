"""Scores of sets of pictures: where pictures come from, what is measured, and the record of it."""
