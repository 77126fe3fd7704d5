"""All SQL that writes."""
