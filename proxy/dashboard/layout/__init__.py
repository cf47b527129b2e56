"""What all pages look like: the frame, themes, keyboard, tables, numbers and times.

A page gets a `page.View`. Front door: `page.Page`, `page.View`, `frame.add_pages`, `units`, `parts`.
"""
