"""What may be said: the rule of a claim, the numbers that failed audits put in doubt, and the sentences."""
