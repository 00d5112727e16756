"""The page by itself, without the product's server: its start, its failures, its adapters on the real browser."""
