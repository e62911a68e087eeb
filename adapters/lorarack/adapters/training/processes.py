"""One process or several: what accelerate or torchrun started."""

import os


def process_count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes and publishes."""
    return int(os.environ.get("RANK", "0")) == 0


def say_about_gpus() -> str | None:
    """One process uses one GPU; how all are used."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < 2 or process_count() > 1:
        return None
    return (
        f"One of {count} GPUs is used. For all of them: accelerate launch --num_processes {count} -m lorarack.registry.cli.main "
        "train …; batch_size then counts for each."
    )
