"""What pages and API know, read from the view, the topics and the roles."""
