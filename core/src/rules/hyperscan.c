#include "rules/hyperscan.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hx_hyperscan found;
static hx_error why_not;

/* A function's address through the bytes of the pointer: C has no cast from void * to it. */
static void look_up(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);

    if (!address && !why_not.text[0])
        hx_error_set(&why_not, HX_EVERSION, "rules: " HX_HYPERSCAN_LIBRARY " has no %s", name);
    memcpy(function, &address, sizeof address);
}

static void open_library(void)
{
    void *library = dlopen(HX_HYPERSCAN_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        hx_error_set(&why_not, HX_EIO,
                     "rules: Hyperscan is needed for them and cannot be opened (%s): install "
                     "libhyperscan5 or libvectorscan5",
                     dlerror());
        return;
    }
    look_up(library, "hs_compile_multi", &found.compile_multi);
    look_up(library, "hs_expression_info", &found.expression_info);
    look_up(library, "hs_free_compile_error", &found.free_compile_error);
    look_up(library, "hs_free_database", &found.free_database);
    look_up(library, "hs_alloc_scratch", &found.alloc_scratch);
    look_up(library, "hs_clone_scratch", &found.clone_scratch);
    look_up(library, "hs_free_scratch", &found.free_scratch);
    look_up(library, "hs_scan", &found.scan);
    look_up(library, "hs_version", &found.version);
}

const hx_hyperscan *hx_hyperscan_get(hx_error *err)
{
    pthread_once(&once, open_library);
    if (!why_not.text[0])
        return &found;
    hx_error_set(err, HX_EIO, "%s", why_not.text);
    return NULL;
}
