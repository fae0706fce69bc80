"""CRM sinks: the score that sales sees in its own CRM is the one on the topic."""
