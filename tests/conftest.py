"""Set-up shared by all tests."""

import os
import signal

import torch

# The tensors are small: more threads cost time, and depend on other programs.
torch.set_num_threads(1)

# Triton reads this where a kernel is defined: its interpreter takes tensors on a CPU. With 0, the
# tests of the kernels run on a GPU.
os.environ.setdefault("TRITON_INTERPRET", "1")

# nohup and shells' background jobs start a process with these signals ignored, but tests send them.
for number, usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)
