"""The commands of `parallel-wavenet`."""
