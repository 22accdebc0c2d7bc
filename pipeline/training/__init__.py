"""Training the models that ship: recipes, documents, the loop, the exam, formation, the card."""
