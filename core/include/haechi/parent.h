/* parent: a process that is not left behind by the one that started it. */
#ifndef HAECHI_PARENT_H
#define HAECHI_PARENT_H

#include <haechi/error.h>

/* Where $HAECHI_PARENT is the number of the process that started this one: SIGTERM from the kernel
 * when the thread that did so ends (PR_SET_PDEATHSIG, prctl(2)), or now, where it has ended
 * already. Without the variable nothing. The child says it of itself, as early as it can, so that
 * the parent needs no code of its own between fork and exec. HX_EINVAL with a sentence: the
 * variable is no number of a process. */
int hx_parent_follow(hx_error *err);

#endif
