/*
 * os_explored: the operating system of the explored library, in the place of src/os.c: memory comes from the world, the
 * clock stands still until a scenario moves it, chance is a constant, and the search decides which calls fail.
 */
#include "os.h"

#include "cache.h"
#include "explored.h"
#include "heap.h"
#include "report.h"
#include "world.h"

bool (*hs_os_fault)(enum hs_os_call call);
_Atomic uint64_t hs_os_calls[HS_OS_CALL_KINDS];
_Atomic uint64_t hs_os_purged_bytes;

static struct {
    struct hs_mutex lock;
    char *end; /* where our last span ends */
} program_break = {HS_MUTEX_INITIALIZER(HS_RANK_BREAK), NULL};

struct hs_cache *hs_explored_no_cache(void)
{
    return (struct hs_cache *)(uintptr_t)&hs_cache_none;
}

bool hs_explored_has_heap(void)
{
    return hs_load_relaxed(&hs_heap_is_ready);
}

void hs_explored_on_misuse(void (*handler)(const char *line))
{
    hs_report_handler = handler;
}

/* By the names that the linker gives to the ends of that section, where there is one. */
extern char __start___llvm_prf_cnts[] __attribute__((weak, visibility("hidden")));
extern char __stop___llvm_prf_cnts[] __attribute__((weak, visibility("hidden")));

void hs_explored_counters(uintptr_t *base, size_t *bytes)
{
    *base = (uintptr_t)__start___llvm_prf_cnts;
    *bytes = (uintptr_t)__stop___llvm_prf_cnts - *base;
}

static bool refused(void)
{
    return backend_call_fails(&hs_os_calls[0], false);
}

/* Of a call by which memory is gone, or as new. */
static bool refused_to_give_back(void)
{
    return backend_call_fails(&hs_os_calls[0], true);
}

void hs_os_init(void)
{
}

size_t hs_os_page_bytes(void)
{
    return WORLD_PAGE_BYTES;
}

unsigned hs_os_cpu_count(void)
{
    return 1;
}

uint64_t hs_os_entropy(void)
{
    return UINT64_C(0x2545F4914F6CDD1D);
}

uint64_t hs_os_now_ms(void)
{
    return world_now_ms();
}

bool hs_os_is_privileged(void)
{
    return false;
}

struct hs_span hs_os_break_raise(size_t bytes)
{
    struct hs_span span = {NULL, 0};
    char *old = NULL;

    hs_mutex_lock(&program_break.lock);
    if (!refused())
        old = world_break_move((ptrdiff_t)bytes);
    if (old != NULL) {
        program_break.end = old + bytes;
        span = (struct hs_span){old, bytes};
    }
    hs_mutex_unlock(&program_break.lock);
    return span;
}

bool hs_os_break_is_at(const char *end)
{
    bool is_at;

    hs_mutex_lock(&program_break.lock);
    is_at = program_break.end == end;
    hs_mutex_unlock(&program_break.lock);
    return is_at;
}

bool hs_os_break_may_be_lowered_from(const char *end)
{
    return hs_os_break_is_at(end);
}

bool hs_os_break_lower(char *end, size_t bytes)
{
    bool lowered = false;

    hs_mutex_lock(&program_break.lock);
    if (program_break.end == end && !refused_to_give_back()) {
        backend_memory_goes(end - bytes, bytes);
        lowered = world_break_move(-(ptrdiff_t)bytes) != NULL;
        program_break.end -= lowered ? bytes : 0;
    }
    hs_mutex_unlock(&program_break.lock);
    return lowered;
}

void *hs_os_map(size_t bytes)
{
    return refused() ? NULL : world_map(bytes, WORLD_PAGE_BYTES, 0);
}

void *hs_os_map_aligned(size_t bytes, size_t alignment, size_t offset)
{
    return refused() ? NULL : world_map(bytes, alignment, offset);
}

bool hs_os_unmap(void *base, size_t bytes)
{
    if (refused_to_give_back())
        return false;
    backend_memory_goes(base, bytes);
    return world_unmap(base, bytes);
}

void *hs_os_remap(void *base, size_t old_bytes, size_t new_bytes, bool may_move)
{
    if (refused_to_give_back())
        return NULL;
    if (new_bytes < old_bytes)
        backend_memory_goes((char *)base + new_bytes, old_bytes - new_bytes);
    else if (may_move)
        backend_memory_goes(base, old_bytes);
    return world_remap(base, old_bytes, new_bytes, may_move);
}

bool hs_os_purge(void *base, size_t bytes)
{
    if (refused_to_give_back())
        return false;
    backend_memory_goes(base, bytes);
    world_clear(base, bytes);
    return true;
}

bool hs_os_want_huge(void *base, size_t bytes)
{
    (void)base;
    (void)bytes;
    return !refused();
}

bool hs_os_populate(void *base, size_t bytes)
{
    (void)base;
    (void)bytes;
    return !refused();
}

int hs_os_write(int fd, const char *text, size_t bytes)
{
    (void)fd;
    (void)text;
    (void)bytes;
    return 0;
}

void hs_os_yield(void)
{
    backend_yield();
}

/* Fork does not happen in a world without stdio. */
void hs_os_stdio_lock(void)
{
}

void hs_os_stdio_unlock(void)
{
}

void hs_os_stdio_reset_in_child(void)
{
}

struct hs_mutex *hs_os_break_lock(void)
{
    return &program_break.lock;
}
