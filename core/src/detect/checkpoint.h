/* The checkpoint: where reading stood and what was open, at one point between two batches.
 *
 * A file, replaced as a whole (temporary name, fsync, rename), closed by a hash of its content:
 *   char magic[8] "HXCKPT05"; u64 sections; then each section: u64 kind, u64 length, bytes padded
 * to 8; last, u64 hash of everything before.
 */
#ifndef HAECHI_DETECT_CHECKPOINT_H
#define HAECHI_DETECT_CHECKPOINT_H

#include "detect/worker.h"

typedef struct hx_checkpoint {
    hx_text position;        /* JSON of hx_source_position_save */
    uint64_t alert_position; /* of the alert file, before the last batch that is part of it */
    hx_text inputs;          /* names of the inputs by number, each with its NUL */
    hx_text keys;            /* u64 hash of each log key's template, in the bundle's order */
    char digest[17];         /* of that bundle */
    hx_text *worker;         /* [worker_count] */
    uint32_t worker_count;
} hx_checkpoint;

void hx_checkpoint_free(hx_checkpoint *checkpoint);

/* HX_EIO with a sentence in err; the file that was there stays as it was. */
int hx_checkpoint_write(const hx_checkpoint *checkpoint, const char *path, hx_error *err);

/* HX_ENOTFOUND where there is none; HX_ECORRUPT or HX_EVERSION with a sentence in err. */
int hx_checkpoint_read(const char *path, hx_checkpoint *out, hx_error *err);

#endif
