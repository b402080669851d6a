/* Memory for large tables: mapped at its largest, paid for where it is touched, in large pages
 * where the system grants them (a table that is read at random misses the TLB at nearly every look
 * otherwise). */
#ifndef HAECHI_PAGES_H
#define HAECHI_PAGES_H

#include <stddef.h>

/* Zeroed memory, or NULL. */
void *hx_pages_map(size_t bytes);
/* The same in ordinary pages, for what is mapped for the worst case and mostly used at its
 * beginning: a large page would cost 2 MB there. */
void *hx_pages_reserve(size_t bytes);
/* NULL is fine. bytes as they were mapped. */
void hx_pages_unmap(void *pages, size_t bytes);

#endif
