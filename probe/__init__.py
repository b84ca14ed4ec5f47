"""Listens to the signalling, asks for consent, takes the identity off."""
