#include <haechi/pages.h>

#include <sys/mman.h>

void *hx_pages_reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void *hx_pages_map(size_t bytes)
{
    void *p = hx_pages_reserve(bytes);

    if (p)
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish: refused where there are no large pages */
    return p;
}

void hx_pages_unmap(void *pages, size_t bytes)
{
    if (pages)
        munmap(pages, bytes);
}
