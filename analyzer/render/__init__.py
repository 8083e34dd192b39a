"""Gap reports made readable: for a terminal and as a page. Renderers add no knowledge and change no answer."""
