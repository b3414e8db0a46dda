"""What is told of a study of contexts: its tables, figures and pages."""
