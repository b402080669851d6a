"""`haechi demo`: the whole way in a minute, on a log that is made for it or on one of the user's."""
