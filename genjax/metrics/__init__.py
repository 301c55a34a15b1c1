"""Scores: pure functions of features, of images and of distances between them.

Each says what is computed and whose definition it is. Nothing here reads files or knows of runs.
"""
