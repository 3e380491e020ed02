"""What people prefer: their votes on pairs of items, and the taste that explains them."""
