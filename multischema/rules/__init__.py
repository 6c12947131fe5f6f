"""What the app's file says. Pure: may import catalog."""
