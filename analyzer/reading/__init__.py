"""Reading: from a note's text to findings. Knows nothing of requirements or codes."""
