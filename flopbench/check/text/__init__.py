"""What a check prints: terminal, Markdown, JUnit, annotations."""
