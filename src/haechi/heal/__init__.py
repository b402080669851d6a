"""What is wrong with a running tool and what is done about it: plans only, with time and figures passed
in."""
