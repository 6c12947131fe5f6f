"""Every statement that we compose, as values. Pure: nothing here runs them."""
