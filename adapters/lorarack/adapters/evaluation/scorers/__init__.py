"""How a text answer is scored, one file for each family: functions from an answer and the expected text to a number."""
