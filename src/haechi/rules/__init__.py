"""Stage one's rules: people's rule files and Sigma's to the JSON that the engine reads, and the reference of
what a rule means. docs/rules.md is the manual."""
