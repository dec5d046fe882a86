"""What the venue wants to see: orders, amounts, signatures, authentication, wallets."""
