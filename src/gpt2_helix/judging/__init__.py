"""Judging claims on a subject: an engine that knows neither the claims nor what is judged."""
