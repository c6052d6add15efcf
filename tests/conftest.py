"""Set-up shared by all tests."""

import os

import torch

# The tensors are small: more threads cost time, and depend on other programs.
torch.set_num_threads(1)

# Triton reads this where a kernel is defined: its interpreter takes tensors on a CPU. With 0, the
# tests of the kernels run on a GPU.
os.environ.setdefault("TRITON_INTERPRET", "1")
