"""File formats, one a file: sniff, read, write."""
