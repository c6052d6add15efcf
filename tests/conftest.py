"""Set-up shared by all tests."""

import torch

# Small tensors: more threads cost more than they bring, and time depends on the neighbours.
torch.set_num_threads(1)
