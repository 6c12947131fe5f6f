"""What will be published, and why. Pure: may import rules and catalog."""
