"""What personal data looks like: in a column's values, in its name, and how many rows tell."""
