/* The few functions of Hyperscan that rules use, found when the first rules are loaded: who has no
 * rules needs no library. The names, the numbers and the callback's form are those of its version
 * 5, which Vectorscan keeps. */
#ifndef HAECHI_RULES_HYPERSCAN_H
#define HAECHI_RULES_HYPERSCAN_H

#include <haechi/error.h>

#include <stddef.h>

#define HX_HYPERSCAN_LIBRARY "libhs.so.5"

enum {
    HS_FLAG_CASELESS = 1,
    HS_FLAG_SINGLEMATCH = 8,
    HS_FLAG_ALLOWEMPTY = 16,
    HS_MODE_BLOCK = 1,
    HS_NOMEM = -2,
    HS_COMPILER_ERROR = -4,
};

typedef struct hs_database hs_database_t;
typedef struct hs_scratch hs_scratch_t;
typedef struct hs_compile_error {
    char *message;
    int expression; /* whose fault it is; negative: nobody's */
} hs_compile_error_t;

typedef struct hs_expr_info {
    unsigned int min_width, max_width; /* bytes of a match */
    char unordered_matches, matches_at_eod, matches_only_at_eod;
} hs_expr_info_t;

typedef int (*hs_match_fn)(unsigned int id, unsigned long long from, unsigned long long to,
                           unsigned int flags, void *context);

typedef struct hx_hyperscan {
    int (*compile_multi)(const char *const *expressions, const unsigned int *flags,
                         const unsigned int *ids, unsigned int count, unsigned int mode,
                         const void *platform, hs_database_t **out, hs_compile_error_t **error);
    int (*expression_info)(const char *expression, unsigned int flags, hs_expr_info_t **info,
                           hs_compile_error_t **error); /* info: to be freed with free */
    int (*free_compile_error)(hs_compile_error_t *error);
    int (*free_database)(hs_database_t *database);
    int (*alloc_scratch)(const hs_database_t *database, hs_scratch_t **scratch);
    int (*clone_scratch)(const hs_scratch_t *from, hs_scratch_t **out);
    int (*free_scratch)(hs_scratch_t *scratch);
    int (*scan)(const hs_database_t *database, const char *data, unsigned int length,
                unsigned int flags, hs_scratch_t *scratch, hs_match_fn on_match, void *context);
    const char *(*version)(void);
} hx_hyperscan;

/* The library, opened once in a process and never closed. NULL with a sentence in err. */
const hx_hyperscan *hx_hyperscan_get(hx_error *err);

#endif
