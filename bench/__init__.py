"""What is measured, and what proves that it is right."""
