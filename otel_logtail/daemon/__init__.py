"""The only room that imports all stages."""
