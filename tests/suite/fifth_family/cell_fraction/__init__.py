"""What share of a slide is cells? A whole family of slide2omics in a package of its own."""
