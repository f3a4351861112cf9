"""One YAML file for each application; its head says what, source, command, time and expected result."""
