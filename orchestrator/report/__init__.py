"""What a run says of itself: numbers, text, pictures; and what it would be, before it is."""
