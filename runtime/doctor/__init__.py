"""What is wrong with this installation, and what mends it: `./console.sh doctor`."""
