"""Files on disk: written whole or not at all, locked folders, arrays, checked configurations."""
