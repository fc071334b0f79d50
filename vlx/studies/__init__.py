"""The studies of the paper, each a question with an answer in numbers, and a page."""
