"""What the pages show and the build computes, a module for each page."""
