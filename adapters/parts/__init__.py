"""What published models share: adapters by kind, vocabularies, searches, the CNNs they look through."""
