"""What a user of Penstock writes: a source, a task and a component of their own."""
