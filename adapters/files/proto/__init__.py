"""Messages of protocol buffers, and the files that consist of them."""
