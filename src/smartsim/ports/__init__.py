"""What the application needs of the world: one typed `Protocol` per seam, with its value types."""
