"""The machine: hardware, disk, signals."""
