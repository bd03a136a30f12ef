"""The shared table: what all workers must agree on, in one mapping that survives the death of any of them."""
