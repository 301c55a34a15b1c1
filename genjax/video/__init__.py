"""Clips: files of moving pictures, what moves where in them, and where that can be relied on."""
