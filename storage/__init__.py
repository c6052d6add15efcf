"""Files on disk: atomic writes, folder locks, arrays and checked configurations."""
