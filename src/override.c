#include "override.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath.h"
#include "heapster.h"
#include "os.h"

_Atomic bool hs_os_break_is_ours = true;

/* Weak, since libc may keep it in a library that a program does without; then nothing was loaded later, either. */
extern void *dlsym(void *restrict handle, const char *restrict name) __attribute__((weak));

/* No header of any one libc declares all of these. */
HEAPSTER_API void *malloc(size_t bytes);
HEAPSTER_API void *calloc(size_t count, size_t bytes);
HEAPSTER_API void *realloc(void *ptr, size_t bytes);
HEAPSTER_API void *reallocarray(void *ptr, size_t count, size_t bytes);
HEAPSTER_API void free(void *ptr);
HEAPSTER_API void free_sized(void *ptr, size_t bytes);
HEAPSTER_API void free_aligned_sized(void *ptr, size_t alignment, size_t bytes);
HEAPSTER_API void *aligned_alloc(size_t alignment, size_t bytes);
HEAPSTER_API int posix_memalign(void **out, size_t alignment, size_t bytes);
HEAPSTER_API void *memalign(size_t alignment, size_t bytes);
HEAPSTER_API void *valloc(size_t bytes);
HEAPSTER_API void *pvalloc(size_t bytes);
HEAPSTER_API size_t malloc_usable_size(void *ptr);

void *malloc(size_t bytes)
{
    HS_VISIBLE_CALL;
    return hs_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return heapster_calloc(count, bytes);
}

void *realloc(void *ptr, size_t bytes)
{
    return heapster_realloc(ptr, bytes);
}

void *reallocarray(void *ptr, size_t count, size_t bytes)
{
    return heapster_reallocarray(ptr, count, bytes);
}

void free(void *ptr)
{
    HS_VISIBLE_CALL;
    hs_free(ptr);
}

void free_sized(void *ptr, size_t bytes)
{
    heapster_free_sized(ptr, bytes);
}

void free_aligned_sized(void *ptr, size_t alignment, size_t bytes)
{
    heapster_free_aligned_sized(ptr, alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return heapster_aligned_alloc(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    return heapster_posix_memalign(out, alignment, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    return heapster_memalign(alignment, bytes);
}

void *valloc(size_t bytes)
{
    return heapster_valloc(bytes);
}

void *pvalloc(size_t bytes)
{
    return heapster_pvalloc(bytes);
}

size_t malloc_usable_size(void *ptr)
{
    return heapster_usable_size(ptr);
}

/* glibc exports its allocator under these names, too; a program that calls one hands the block to our free. */
HEAPSTER_API void *__libc_malloc(size_t bytes);
HEAPSTER_API void *__libc_calloc(size_t count, size_t bytes);
HEAPSTER_API void *__libc_realloc(void *ptr, size_t bytes);
HEAPSTER_API void __libc_free(void *ptr);
HEAPSTER_API void *__libc_memalign(size_t alignment, size_t bytes);
HEAPSTER_API void *__libc_valloc(size_t bytes);
HEAPSTER_API void *__libc_pvalloc(size_t bytes);
HEAPSTER_API int __posix_memalign(void **out, size_t alignment, size_t bytes);

void *__libc_malloc(size_t bytes)
{
    return heapster_malloc(bytes);
}

void *__libc_calloc(size_t count, size_t bytes)
{
    return heapster_calloc(count, bytes);
}

void *__libc_realloc(void *ptr, size_t bytes)
{
    return heapster_realloc(ptr, bytes);
}

void __libc_free(void *ptr)
{
    heapster_free(ptr);
}

void *__libc_memalign(size_t alignment, size_t bytes)
{
    return heapster_memalign(alignment, bytes);
}

void *__libc_valloc(size_t bytes)
{
    return heapster_valloc(bytes);
}

void *__libc_pvalloc(size_t bytes)
{
    return heapster_pvalloc(bytes);
}

int __posix_memalign(void **out, size_t alignment, size_t bytes)
{
    return heapster_posix_memalign(out, alignment, bytes);
}

/* Whether the malloc at `serves` is this one. Its address does not say so: a program that is not position-independent
 * may give the name an address of its own. */
static bool is_this_malloc(void *serves)
{
    void *(*allocate)(size_t);
    void (*release)(void *);
    void *found = dlsym(RTLD_DEFAULT, "free"), *probe;
    bool is_ours;

    memcpy(&allocate, &serves, sizeof allocate);
    memcpy(&release, &found, sizeof release);
    probe = allocate(1);
    is_ours = probe != NULL && hs_region_find(probe) != NULL;
    release(probe);
    return is_ours;
}

void hs_override_settle(void)
{
    void *serves = dlsym != NULL ? dlsym(RTLD_DEFAULT, "malloc") : NULL;

    /* NULL: a static program, which has no other. Relaxed: see there. */
    if (serves != NULL && serves != (void *)malloc && !is_this_malloc(serves))
        hs_store_relaxed(&hs_os_break_is_ours, false);
}
