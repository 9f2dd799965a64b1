"""For authors of connectors and rules: the seeded world, the sandbox kit, the conformance suite."""
