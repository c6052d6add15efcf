"""Signal processing as functions of tensors: mel, pitch, envelope, filters."""
