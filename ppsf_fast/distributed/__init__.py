"""Parameters on several processes: sharded ones, and whole ones that others do not have.

DTensors, which `fully_shard` and tensor parallelism make, need nothing of what is here. What a tensor does not show
has to be declared.
"""

from ppsf_fast.distributed.sharding import declare_flat, declare_fsdp, declare_positions

__all__ = ["declare_flat", "declare_fsdp", "declare_positions"]
