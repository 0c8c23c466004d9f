"""Parameters on several processes: sharded ones, and whole ones that others do not have."""
