"""The client with which applications reach the database."""
