"""What families share: adapters by kind, vocabularies, searches, CNNs to look through; what a row is."""
