/* Lines that name their values, as JSON and logfmt do: which names mean which field. Of the names
 * that loggers give to the same thing, the one with the lowest rank wins. */
#ifndef HAECHI_WIRE_MEMBERS_H
#define HAECHI_WIRE_MEMBERS_H

#include "wire.h"

typedef enum wire_role {
    WIRE_MESSAGE,
    WIRE_TIME,
    WIRE_HOST,
    WIRE_PROCESS,
    WIRE_PID,
    WIRE_THREAD,
    WIRE_LEVEL,
    WIRE_PRIORITY,
    WIRE_COUNT
} wire_role;

typedef struct wire_members {
    hx_slice value[WIRE_COUNT];
    uint8_t rank[WIRE_COUNT]; /* 255: not there */
} wire_members;

void wire_members_clear(wire_members *m);

/* Keeps the value, where the name means something and no better one was there. */
void wire_members_keep(wire_members *m, hx_slice name, hx_slice value);

/* Fills the record; a line without a message is one itself. */
void wire_members_finish(const wire_members *m, hx_slice line, hx_format_scratch *scratch,
                         hx_record *record);

#endif
