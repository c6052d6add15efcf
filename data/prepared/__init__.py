"""Prepared features: made from recordings, described by a manifest, cut into training segments."""
