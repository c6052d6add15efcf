"""Pictures of arrays, for a validation of training and for the report page."""

import matplotlib
import numpy as np
from numpy.typing import NDArray


def spectrogram_image(log_mel: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Colour a spectrogram, with low frequencies at the bottom.

    Args:
        log_mel: shape (M, L).
        low: value of the darkest colour.
        high: value of the brightest colour.
    Returns:
        RGB, shape (M, L, 3).
    """
    scaled = np.clip((log_mel[::-1] - low) / (high - low), 0, 1)
    coloured = matplotlib.colormaps["magma"](scaled)[..., :3]
    return (coloured * 255).astype(np.uint8)
