/*
 * A library for libraries.c, built several times over with another STRESS_PLUGIN_NUMBER and so with other sizes.
 *
 * Its constructor makes blocks that its destructor verifies and frees; one of them it hands on to the next load, which
 * verifies it. Its thread-local variables are too large for what libc has to spare, so libc allocates them when a
 * thread first touches them, and frees them when the thread ends or touches another library's after the unloading.
 */
#include "plugin.h"

#include <pthread.h>
#include <stdlib.h>

#include "plugin_block.h"

enum { NUMBER = STRESS_PLUGIN_NUMBER, BLOCKS = 12, MARK = 0x5EED + NUMBER, LOCAL_BYTES = 3000 << (2 * NUMBER) };

/* glibc and others; what C++ runs destructors of thread-local objects by. */
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *argument, void *library) __attribute__((weak));

static struct plugin_block *blocks[BLOCKS];
static _Atomic(struct stress_plugin_record *) owner;
static pthread_key_t key;
static bool has_key;
static const char *fault; /* of the constructor, which has nobody to tell */
static unsigned constructions;

static _Thread_local struct {
    uint64_t mark; /* not zero from the beginning */
    uint64_t pattern_key;
    bool is_filled;
    unsigned char content[LOCAL_BYTES];
} local = {.mark = MARK};

static void fail(const char *what)
{
    struct stress_plugin_record *record = atomic_load_explicit(&owner, memory_order_acquire); /* [PLUGIN-OWNER] */

    if (record == NULL)
        abort();
    record->fail(what);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static void use_thread_local(uint64_t pattern_key)
{
    if (local.mark != MARK)
        fail("thread-local storage is not what the library initialises it to");
    if (local.is_filled) {
        if (kit_pattern_mismatch(local.content, 0, LOCAL_BYTES, local.pattern_key) != KIT_INTACT)
            fail("thread-local storage lost content");
        return;
    }
    if (kit_pattern_first_nonzero(local.content, LOCAL_BYTES) != KIT_INTACT)
        fail("fresh thread-local storage is dirty");
    local.is_filled = true;
    local.pattern_key = pattern_key;
    kit_pattern_fill(local.content, 0, LOCAL_BYTES, pattern_key);
}

static void on_thread_exit(void *argument)
{
    struct stress_plugin_visitor *visitor = argument;

    use_thread_local(0);
    visitor->work(visitor);
    use_thread_local(0);
    visitor->thread_exits++;
}

static bool work_at_thread_exit(struct stress_plugin_visitor *visitor)
{
    if (__cxa_thread_atexit_impl == NULL)
        return false;
    if (__cxa_thread_atexit_impl(on_thread_exit, visitor, &owner) != 0)
        fail("no destructor of a thread-local object can be registered");
    return true;
}

/* Sets the key anew but the last time, so that libc comes again. */
static void on_key(void *argument)
{
    struct stress_plugin_visitor *visitor = argument;

    use_thread_local(visitor->key_rounds);
    visitor->work(visitor);
    visitor->key_rounds++;
    if (visitor->key_rounds % STRESS_PLUGIN_ROUNDS != 0)
        (void)pthread_setspecific(key, visitor);
}

static void work_by_key(struct stress_plugin_visitor *visitor)
{
    if (pthread_setspecific(key, visitor) != 0)
        fail("no thread-specific data");
}

/* ---- load and unload -------------------------------------------------------------------------------------------- */

static size_t bytes_of(unsigned index)
{
    static const size_t bytes[] = {16, 100, 700, 5000, 40000, 200000};

    return bytes[(index + NUMBER) % (sizeof bytes / sizeof bytes[0])] + index;
}

static uint64_t key_of(unsigned index)
{
    return kit_pattern_key(MARK, index);
}

static struct plugin_block *make_by_calloc(size_t all)
{
    struct plugin_block *block = calloc(all, 1);

    if (block != NULL && kit_pattern_first_nonzero(block, all) != KIT_INTACT)
        fault = "calloc in a constructor gave a dirty block";
    return block;
}

static struct plugin_block *make_by_realloc(size_t all, uint64_t pattern_key)
{
    struct plugin_block *small = malloc(sizeof *small + 8), *block;

    if (small == NULL)
        return NULL;
    plugin_block_fill(small, 8, pattern_key);
    block = realloc(small, all);
    if (block == NULL)
        free(small);
    else if (!plugin_block_is_intact(block, 8, pattern_key))
        fault = "realloc in a constructor lost content";
    return block;
}

static struct plugin_block *make_block(unsigned index)
{
    size_t all = sizeof(struct plugin_block) + bytes_of(index);

    if (index % 3 == 0)
        return malloc(all);
    return index % 3 == 1 ? make_by_calloc(all) : make_by_realloc(all, key_of(index));
}

static void free_intact(struct plugin_block *block, unsigned index, const char *otherwise)
{
    if (!plugin_block_is_intact(block, bytes_of(index), key_of(index)))
        fail(otherwise);
    free(block);
}

__attribute__((constructor)) static void at_load(void)
{
    constructions++;
    has_key = pthread_key_create(&key, on_key) == 0;
    if (!has_key)
        fault = "no key for thread-specific data";
    for (unsigned i = 0; i < BLOCKS && fault == NULL; i++) {
        blocks[i] = make_block(i);
        if (blocks[i] == NULL)
            fault = "a constructor got no memory";
        else
            plugin_block_fill(blocks[i], bytes_of(i), key_of(i));
    }
}

/* The first block stays, for the next load. */
__attribute__((destructor)) static void at_unload(void)
{
    struct stress_plugin_record *record = atomic_load_explicit(&owner, memory_order_acquire); /* [PLUGIN-OWNER] */
    struct plugin_block *old;

    if (record == NULL || !has_key)
        abort();
    (void)pthread_key_delete(key);
    for (unsigned i = 1; i < BLOCKS; i++)
        free_intact(blocks[i], i, "a block of a constructor lost content before the destructor came");
    if (!plugin_block_is_intact(blocks[0], bytes_of(0), key_of(0)))
        fail("a block of a constructor lost content before the destructor came");
    /* [HEIRLOOM] its content is visible to the next load. */
    old = atomic_exchange_explicit(&record->heirloom, blocks[0], memory_order_acq_rel);
    if (old != NULL)
        fail("two loads at once");
    (void)atomic_fetch_add_explicit(&record->unloaded, 1, memory_order_relaxed); /* relaxed: a count */
}

static void come_in(struct stress_plugin_record *record)
{
    /* [PLUGIN-OWNER] what the owner's functions need is visible to the destructor, in whichever thread it runs. */
    bool is_first = atomic_exchange_explicit(&owner, record, memory_order_acq_rel) == NULL;
    struct plugin_block *old;

    if (fault != NULL)
        fail(fault);
    if (constructions != 1)
        fail("the constructor did not run just once");
    if (!is_first)
        return;
    (void)atomic_fetch_add_explicit(&record->loaded, 1, memory_order_relaxed);     /* relaxed: a count */
    old = atomic_exchange_explicit(&record->heirloom, NULL, memory_order_acq_rel); /* [HEIRLOOM] */
    if (old != NULL)
        free_intact(old, 0, "a block of an earlier load lost content");
}

__attribute__((visibility("default"))) extern const struct stress_plugin stress_plugin;

const struct stress_plugin stress_plugin = {
    .come_in = come_in,
    .use_thread_local = use_thread_local,
    .work_at_thread_exit = work_at_thread_exit,
    .work_by_key = work_by_key,
};
