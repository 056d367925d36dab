"""Which files came, and what is in them? Folders, archives and workbooks; lines, rows and layouts."""
