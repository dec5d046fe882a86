"""What polyarb costs, each figure beside the one it is compared with (bench/README.md)."""
