/* What the streams of one port say that they sent, beside what came. Bounded, whatever is sent to
 * the port: a storm is not authenticated, so anybody can invent streams. */
#ifndef HAECHI_NET_LEDGER_H
#define HAECHI_NET_LEDGER_H

#include <haechi/net.h>

enum { LEDGER_STREAMS_MAX = 4096 };

/* Received on the port since it was opened. */
typedef struct ledger_totals {
    uint64_t events, bytes, controls, shed, dropped;
} ledger_totals;

typedef struct ledger ledger;

ledger *ledger_create(void); /* NULL: out of memory */
void ledger_destroy(ledger *l);

/* Takes a mark, which received counts already. True where *report is to be sent back. */
bool ledger_take(ledger *l, const hx_mark *mark, const ledger_totals *received, hx_mark *report);

/* drop_messages: how many messages one drop of the kernel's can have been. */
void ledger_account(const ledger *l, const ledger_totals *received, uint32_t drop_messages,
                    hx_account *out);

#endif
