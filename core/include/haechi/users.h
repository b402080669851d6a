/* users: who a line speaks of. Behind which word a user's name stands is learned in training, of
 * each template (src/haechi/train/users.py); here it is looked for, by training and detection
 * alike. */
#ifndef HAECHI_USERS_H
#define HAECHI_USERS_H

#include <haechi/slice.h>

#define HX_USER_NAME_MAX 64
#define HX_USER_WORD_MAX 32

/* The name behind the first occurrence of word that has one; empty where there is none. The word
 * stands alone; behind it '=' and the name at once, or ':' or nothing and blanks; a quote or a
 * bracket may open it. A name is letters, digits and "_.-$@+\", at most HX_USER_NAME_MAX bytes.
 * Behind the word "for" a name counts only with " from " behind it, because other things are for
 * something. */
hx_slice hx_user_find(hx_slice word, hx_slice text);

#endif
