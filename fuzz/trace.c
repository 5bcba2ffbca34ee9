/*
 * trace: which calls of the API a program makes, one a line, into the file that FUZZ_TRACE names. It is linked by
 * --wrap (CMakeLists.txt) with a fuzzer and with what that wrote as C, which have to make the same.
 *
 * Blocks and arenas have the number of their birth, and a pointer into one an offset; addresses differ. Calls count
 * from heapster_get_strategy on, by which every program begins, to what follows its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "heapster.h"

enum { THINGS_MOST = 1 << 18, LINE_BYTES = 256 };

static struct thing {
    const char *base;
    size_t bytes;
} things[THINGS_MOST];

static unsigned thing_count;
static int file = -1;
static bool is_ending; /* blocks are given back, and no more */

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    char line[LINE_BYTES];
    int length, kept = errno;
    va_list arguments;

    if (file < 0)
        return;
    va_start(arguments, format);
    length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0 || write(file, line, (size_t)length) != length)
        abort();
    errno = kept;
}

/* The newest that begins there, or else that it points into, the end included: where one ends, another may begin. */
static unsigned thing_at(const char *at)
{
    for (unsigned i = thing_count; i > 0; i--)
        if (at == things[i - 1].base)
            return i;
    for (unsigned i = thing_count; i > 0; i--)
        if (at > things[i - 1].base && at <= things[i - 1].base + things[i - 1].bytes)
            return i;
    return 0;
}

static void note_thing(const void *pointer)
{
    unsigned number = thing_at(pointer);

    if (pointer == NULL)
        note(" none");
    else if (number == 0)
        note(" elsewhere");
    else
        note(" %u+%zu", number, (size_t)((const char *)pointer - things[number - 1].base));
}

static void *note_birth(void *base, size_t bytes)
{
    note(base != NULL ? " is %u\n" : " is none\n", thing_count + 1);
    if (file >= 0 && base != NULL && thing_count < THINGS_MOST)
        things[thing_count++] = (struct thing){base, bytes};
    return base;
}

static void begin(void)
{
    const char *path = getenv("FUZZ_TRACE");

    if (path != NULL && file < 0)
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

static void end(void)
{
    if (file >= 0)
        (void)close(file);
    file = -1;
    (void)unsetenv("FUZZ_TRACE");
}

/* name: what of heapster_<name> is wrapped, which takes these parameters. */
#define WRAP(type, name, ...)                                                                                          \
    type __real_heapster_##name(__VA_ARGS__);                                                                          \
    type __wrap_heapster_##name(__VA_ARGS__);                                                                          \
    type __wrap_heapster_##name(__VA_ARGS__)

/* ---- blocks --------------------------------------------------------------------------------------------------------
 */

WRAP(void *, malloc, size_t bytes)
{
    note("malloc %zu", bytes);
    return note_birth(__real_heapster_malloc(bytes), bytes);
}

WRAP(void *, calloc, size_t count, size_t bytes)
{
    note("calloc %zu %zu", count, bytes);
    return note_birth(__real_heapster_calloc(count, bytes), count * bytes);
}

WRAP(void *, realloc, void *block, size_t bytes)
{
    note("realloc %zu", bytes);
    note_thing(block);
    return note_birth(__real_heapster_realloc(block, bytes), bytes);
}

WRAP(void *, reallocarray, void *block, size_t count, size_t bytes)
{
    note("reallocarray %zu %zu", count, bytes);
    note_thing(block);
    return note_birth(__real_heapster_reallocarray(block, count, bytes), count * bytes);
}

WRAP(void *, aligned_alloc, size_t alignment, size_t bytes)
{
    note("aligned_alloc %zu %zu", alignment, bytes);
    return note_birth(__real_heapster_aligned_alloc(alignment, bytes), bytes);
}

WRAP(int, posix_memalign, void **block, size_t alignment, size_t bytes)
{
    int status;

    note("posix_memalign %zu %zu", alignment, bytes);
    status = __real_heapster_posix_memalign(block, alignment, bytes);
    (void)note_birth(status == 0 ? *block : NULL, bytes);
    return status;
}

WRAP(void *, memalign, size_t alignment, size_t bytes)
{
    note("memalign %zu %zu", alignment, bytes);
    return note_birth(__real_heapster_memalign(alignment, bytes), bytes);
}

WRAP(void *, valloc, size_t bytes)
{
    note("valloc %zu", bytes);
    return note_birth(__real_heapster_valloc(bytes), bytes);
}

WRAP(void *, pvalloc, size_t bytes)
{
    note("pvalloc %zu", bytes);
    return note_birth(__real_heapster_pvalloc(bytes), bytes);
}

WRAP(void, free, void *block)
{
    note("free");
    note_thing(block);
    note("\n");
    __real_heapster_free(block);
}

/* Sizes and alignments that are wrong follow from addresses. */
WRAP(void, free_sized, void *block, size_t bytes)
{
    note("free_sized");
    note_thing(block);
    note("\n");
    __real_heapster_free_sized(block, bytes);
}

WRAP(void, free_aligned_sized, void *block, size_t alignment, size_t bytes)
{
    note("free_aligned_sized");
    note_thing(block);
    note("\n");
    __real_heapster_free_aligned_sized(block, alignment, bytes);
}

/* ---- the heap ------------------------------------------------------------------------------------------------------
 */

WRAP(enum heapster_strategy, get_strategy, void)
{
    begin();
    return __real_heapster_get_strategy();
}

WRAP(int, set_strategy, enum heapster_strategy strategy)
{
    note("set_strategy %d\n", (int)strategy);
    return __real_heapster_set_strategy(strategy);
}

WRAP(void, set_mmap_threshold, size_t bytes)
{
    note("set_mmap_threshold %zu\n", bytes);
    __real_heapster_set_mmap_threshold(bytes);
}

WRAP(bool, trim, size_t keep_bytes)
{
    if (is_ending)
        end();
    note("trim %zu\n", keep_bytes);
    return __real_heapster_trim(keep_bytes);
}

WRAP(void, stats, struct heapster_stats *out)
{
    note("stats\n");
    __real_heapster_stats(out);
}

WRAP(int, stats_print, int where, enum heapster_format format)
{
    note("stats_print %s %d\n", where < 0 ? "nowhere" : "somewhere", (int)format);
    return __real_heapster_stats_print(where, format);
}

WRAP(size_t, walk, heapster_visit *visit, void *context)
{
    note("walk\n");
    return __real_heapster_walk(visit, context);
}

WRAP(size_t, check, enum heapster_check_mode mode, heapster_report *report, void *context)
{
    if (is_ending)
        end();
    note("check %d\n", (int)mode);
    is_ending = mode == HEAPSTER_CHECK_AT_REST && file >= 0;
    return __real_heapster_check(mode, report, context);
}

/* ---- first-class arenas --------------------------------------------------------------------------------------------
 */

WRAP(heapster_arena *, arena_create, const struct heapster_arena_config *config)
{
    if (config == NULL)
        note("arena_create");
    else
        note("arena_create %d %s %zu %s", (int)config->strategy, config->buffer != NULL ? "buffer" : "",
             config->buffer_bytes, config->hooks != NULL ? "hooks" : "");
    return note_birth(__real_heapster_arena_create(config), 0);
}

WRAP(void *, arena_malloc, heapster_arena *arena, size_t bytes)
{
    note("arena_malloc %zu", bytes);
    note_thing(arena);
    return note_birth(__real_heapster_arena_malloc(arena, bytes), bytes);
}

WRAP(void *, arena_calloc, heapster_arena *arena, size_t count, size_t bytes)
{
    note("arena_calloc %zu %zu", count, bytes);
    note_thing(arena);
    return note_birth(__real_heapster_arena_calloc(arena, count, bytes), count * bytes);
}

WRAP(void *, arena_realloc, heapster_arena *arena, void *block, size_t bytes)
{
    note("arena_realloc %zu", bytes);
    note_thing(arena);
    note_thing(block);
    return note_birth(__real_heapster_arena_realloc(arena, block, bytes), bytes);
}

WRAP(void *, arena_aligned_alloc, heapster_arena *arena, size_t alignment, size_t bytes)
{
    note("arena_aligned_alloc %zu %zu", alignment, bytes);
    note_thing(arena);
    return note_birth(__real_heapster_arena_aligned_alloc(arena, alignment, bytes), bytes);
}

WRAP(int, arena_set_strategy, heapster_arena *arena, enum heapster_strategy strategy)
{
    note("arena_set_strategy %d", (int)strategy);
    note_thing(arena);
    note("\n");
    return __real_heapster_arena_set_strategy(arena, strategy);
}

WRAP(void, arena_destroy, heapster_arena *arena)
{
    note("arena_destroy");
    note_thing(arena);
    note("\n");
    __real_heapster_arena_destroy(arena);
}
