"""What a file manager's extension needs of gi.repository, in place of a file manager."""
