/* system: the process's own malloc family as a table. It is libc's, a sanitizer's, or what was preloaded. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocator.h"

/* glibc's struct mallinfo2, which other libcs do not declare. */
struct info {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

/* What not every allocator has; NULL where this one has not. */
static struct {
    void *(*memalign)(size_t alignment, size_t bytes);
    void (*free_sized)(void *ptr, size_t bytes);
    void (*free_aligned_sized)(void *ptr, size_t alignment, size_t bytes);
    size_t (*usable_size)(void *ptr);
    int (*trim)(size_t keep_bytes);
    struct info (*info)(void);
} extras;

static char name[64];

static void *call_malloc(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void *call_calloc(void *context, size_t count, size_t bytes)
{
    (void)context;
    return calloc(count, bytes);
}

static void *call_realloc(void *context, void *ptr, size_t bytes)
{
    (void)context;
    return realloc(ptr, bytes);
}

static void *call_aligned_alloc(void *context, size_t alignment, size_t bytes)
{
    (void)context;
    return aligned_alloc(alignment, bytes);
}

static int call_posix_memalign(void *context, void **out, size_t alignment, size_t bytes)
{
    (void)context;
    return posix_memalign(out, alignment, bytes);
}

static void *call_memalign(void *context, size_t alignment, size_t bytes)
{
    (void)context;
    return extras.memalign(alignment, bytes);
}

static void call_free(void *context, void *ptr)
{
    (void)context;
    free(ptr);
}

static void call_free_sized(void *context, void *ptr, size_t bytes)
{
    (void)context;
    extras.free_sized(ptr, bytes);
}

static void call_free_aligned_sized(void *context, void *ptr, size_t alignment, size_t bytes)
{
    (void)context;
    extras.free_aligned_sized(ptr, alignment, bytes);
}

static size_t call_usable_size(void *context, void *ptr)
{
    (void)context;
    return extras.usable_size(ptr);
}

static bool call_trim(void *context, size_t keep_bytes)
{
    (void)context;
    return extras.trim(keep_bytes) != 0;
}

static uint64_t held_bytes(void *context)
{
    struct info info = extras.info();

    (void)context;
    return (uint64_t)info.arena + (uint64_t)info.hblkhd;
}

/* The function of that name, from the library that malloc comes from: another library's would not know its blocks. */
static void *own_function(const char *of)
{
    void *function = dlsym(RTLD_DEFAULT, of), *malloc_itself = dlsym(RTLD_DEFAULT, "malloc");
    Dl_info its, mallocs;

    if (function == NULL || dladdr(function, &its) == 0 || dladdr(malloc_itself, &mallocs) == 0)
        return NULL;
    return its.dli_fbase == mallocs.dli_fbase ? function : NULL;
}

static void find_name(void)
{
    Dl_info info;
    const char *file, *slash;

    if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) == 0 || info.dli_fname == NULL)
        return;
    slash = strrchr(info.dli_fname, '/');
    file = slash != NULL ? slash + 1 : info.dli_fname;
    (void)strncpy(name, file, sizeof name - 1);
}

/* A function pointer from dlsym's object pointer, as POSIX has it. */
static void find(void *place, const char *of)
{
    *(void **)place = own_function(of);
}

struct kit_allocator kit_system(void)
{
    struct kit_allocator allocator = {
        .name = name,
        .least_alignment = _Alignof(max_align_t),
        .by_standard = true,
        .malloc = call_malloc,
        .calloc = call_calloc,
        .realloc = call_realloc,
        .aligned_alloc = call_aligned_alloc,
        .posix_memalign = call_posix_memalign,
        .free = call_free,
    };

    find_name();
    find(&extras.memalign, "memalign");
    find(&extras.free_sized, "free_sized");
    find(&extras.free_aligned_sized, "free_aligned_sized");
    find(&extras.usable_size, "malloc_usable_size");
    find(&extras.trim, "malloc_trim");
    find(&extras.info, "mallinfo2");
    allocator.usable_size = extras.usable_size != NULL ? call_usable_size : NULL;
    allocator.memalign = extras.memalign != NULL ? call_memalign : NULL;
    allocator.free_sized = extras.free_sized != NULL ? call_free_sized : NULL;
    allocator.free_aligned_sized = extras.free_aligned_sized != NULL ? call_free_aligned_sized : NULL;
    allocator.trim = extras.trim != NULL ? call_trim : NULL;
    allocator.held_bytes = extras.info != NULL ? held_bytes : NULL;
    return allocator;
}
