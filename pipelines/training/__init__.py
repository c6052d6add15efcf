"""The training loop, what it trains, and what it keeps."""
