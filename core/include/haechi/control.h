/* The control socket of a tool: a Unix stream socket (mode 600) that takes one JSON object a line
 * and answers with one, from the tool's own user or root only. It has a thread of its own, and one
 * more for commands that take long. */
#ifndef HAECHI_CONTROL_H
#define HAECHI_CONTROL_H

#include <haechi/error.h>
#include <haechi/text.h>

#include <stdbool.h>

#define HX_CONTROL_LINE_MAX 16384 /* bytes of a command; a client that sends more is cut off */

typedef struct hx_control hx_control;

/* One command, without its newline, of any bytes. Writes one JSON object and a newline, with "ok"
 * and, where that is false, "error". Called on the socket's thread, one command at a time. */
typedef void (*hx_control_answer_fn)(void *context, const char *line, size_t len, hx_text *out);
/* Whether a command takes long: then it is answered on a thread of its own, one after the other,
 * while others are answered as ever. Those of one client stay in order. */
typedef bool (*hx_control_slow_fn)(const char *line, size_t len);

/* Listens and starts the thread. A socket that a killed run left at path is replaced; one that
 * answers is not. HX_EINVAL, HX_EIO with a sentence in err that begins "control_socket:";
 * HX_ENOMEM. */
int hx_control_create(const char *path, hx_control_answer_fn answer, void *context,
                      hx_control **out, hx_error *err);
/* The same, for a tool with commands that take long; answer is called on two threads then. */
int hx_control_create_slow(const char *path, hx_control_answer_fn answer, hx_control_slow_fn slow,
                           void *context, hx_control **out, hx_error *err);

/* Ends the threads when the commands in hand are answered, and removes the socket; commands that
 * wait for their turn are not answered. NULL is fine. */
void hx_control_destroy(hx_control *control);

/* {"ok": false, "error": sentence}, without a newline. */
void hx_control_put_error(hx_text *out, const char *sentence);
/* {"ok": true}, or where rc is an error, err's sentence or else rc's own. Without a newline. */
void hx_control_put_result(hx_text *out, int rc, const hx_error *err);

#endif
