"""Speed beside PyTorch's on this machine: `python -m benchmarks` (docs/benchmarks.md)."""
