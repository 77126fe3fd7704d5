"""Units for service managers."""
