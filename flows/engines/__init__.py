"""Ways to draw samples: PyTorch, compiled code on a CPU, CUDA graphs and Triton kernels."""
