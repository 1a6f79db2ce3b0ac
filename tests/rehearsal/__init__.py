"""A GPU rehearsed without one: tensors that claim to lie on ``cuda:0``, and a mode that refuses what a GPU refuses.

What it shows: operands on two devices, draws from a CPU generator, ``.numpy()`` of a tensor on the GPU, each with the
line of our code; where copies and synchronisations are; in which precision products are; which kernels torch documents
as not deterministic. What it cannot show: real kernels, GPU memory, speed, drivers. Nothing here is a measured GPU.

:mod:`tests.rehearsal.process` runs it, in a process of its own: it changes torch for good.
"""
