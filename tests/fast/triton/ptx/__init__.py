"""An emulator of PTX: what Triton compiles for a GPU of NVIDIA runs on the CPU, on the memory of the host.

Triton's interpreter runs a kernel as it is written: a program is one thread, and a block is one array. Here runs what
was made of it: 128 threads with registers of their own, loads of vectors, sums by shuffles and through shared memory,
barriers, instructions that are named in the kernels, and approximations that are off by as much as they may be.

What is left for a GPU to show: what its assembler makes of PTX, memory that several threads use at once (here warps and
programs come one after the other, in any order), and time.
"""
