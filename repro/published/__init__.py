"""Printed numbers, one schema for all papers."""
