"""What several engines gain and cost: `./console.sh bench backends`."""
