"""Measurements that documents quote, each a program to repeat it."""
