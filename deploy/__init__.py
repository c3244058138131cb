"""Running the system: everything on one machine (`deploy.local`), and the recipes for more."""
