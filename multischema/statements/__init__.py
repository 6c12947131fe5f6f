"""Every statement that we compose, as values. Pure: nothing is executed here."""
