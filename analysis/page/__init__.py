"""How anything is put on a page: numbers as text, tables, blocks, and their forms in HTML, Markdown and CSV."""
