"""What the commands do, for Python: values instead of printed text, exceptions instead of exit statuses."""
