/*
 * libraries: threads come, load libraries, use them, unload them and end, while all others allocate. Libraries allocate
 * when they are loaded and unloaded; libc allocates for them, and for the thread-local variables they bring along.
 * Destructors of a library run in the last moments of a thread, some after the library was closed.
 *
 * Goal: the dynamic linker as a user of the allocator, and the allocator in code that is about to vanish.
 * Class of bug: thread-local state used after its end, or that moves when a library comes; memory that goes with the
 * library that asked for it; a deadlock of the linker's lock and the allocator's, in the child of a fork too.
 * Oracle: everything in oracle.h. Blocks of a library's constructor keep their content until its destructor, and one of
 * them until the next load; thread-local variables come as the library initialises them and keep what was written; each
 * destructor of a thread ran, as often as it was asked for; every load was undone where libc unloads at all.
 * Knobs: VISIT_EVERY and FORK_EVERY, operations of a thread; OPENINGS of a visit; SHARE, records of a visitor.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "beside.h"
#include "forked.h"
#include "mix.h"
#include "oracle.h"
#include "plugin.h"
#include "plugin_block.h"
#include "short_thread.h"
#include "violation.h"

enum { VISIT_EVERY = 300, FORK_EVERY = 8000, CHILD_STEPS = 100 };
enum { OPENINGS = 3, STEPS = 12, OWN_SHARE = 64, SHARE = 32, SLOTS = 128, ID_BITS = 20 };

static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 15, .resize = 15, .inspect = 10};
static const struct kit_mix child_mix = {.sizes = kit_sizes_usual, .resize = 20, .inspect = 10};

static struct stress_plugin_record records[STRESS_PLUGINS];
static char paths[STRESS_PLUGINS][STRESS_PATH_BYTES];
static bool libc_unloads;
static pthread_key_t last_moments;

/* Libraries that stay open when the visit is over. */
struct handles {
    void *open[OPENINGS];
    unsigned count;
};

struct guest {
    struct kit_thread part;
    struct kit_short_thread thread;
    struct stress_plugin_visitor visitor;
    struct handles until_last_moments, until_joined;
    unsigned thread_exits, key_rounds; /* expected */
    unsigned last_rounds;              /* of last_moments */
};

static _Noreturn void fail(const char *what)
{
    kit_violation(NULL, NULL, "library", "%s", what);
}

static void work_some(struct kit_thread *part)
{
    for (unsigned i = 0; i < STEPS; i++)
        kit_mix_step(part, &mix, part->run->allocator);
}

static void work_for_plugin(struct stress_plugin_visitor *visitor)
{
    struct guest *guest = visitor->context;

    kit_self = &guest->part;
    work_some(&guest->part);
}

/* ---- a visit ---------------------------------------------------------------------------------------------------- */

static void *open_plugin(unsigned which, const struct stress_plugin **plugin)
{
    void *handle = dlopen(paths[which], RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL)
        kit_violation(NULL, NULL, "library", "%s", dlerror());
    *plugin = dlsym(handle, STRESS_PLUGIN_SYMBOL);
    if (*plugin == NULL)
        kit_violation(NULL, NULL, "library", "%s", dlerror());
    (*plugin)->come_in(&records[which]);
    return handle;
}

static void close_plugin(void *handle)
{
    if (dlclose(handle) != 0)
        kit_violation(NULL, NULL, "library", "%s", dlerror());
}

static void close_all(struct handles *handles)
{
    while (handles->count > 0)
        close_plugin(handles->open[--handles->count]);
}

static void keep(struct handles *handles, void *handle)
{
    handles->open[handles->count++] = handle;
}

/* Closes the library now, with destructors still to run from it or not, or leaves that for later. */
static void leave(struct guest *guest, const struct stress_plugin *plugin, void *handle)
{
    uint64_t chosen = kit_rng_below(&guest->part.rng, 8);

    if (chosen < 3) {
        guest->thread_exits += plugin->work_at_thread_exit(&guest->visitor) ? 1 : 0;
        close_plugin(handle);
    } else if (chosen < 4) {
        keep(&guest->until_last_moments, handle);
    } else if (chosen < 5 && guest->key_rounds == 0) {
        plugin->work_by_key(&guest->visitor);
        guest->key_rounds = STRESS_PLUGIN_ROUNDS;
        keep(&guest->until_joined, handle);
    } else {
        close_plugin(handle);
    }
}

static void visit(struct kit_thread *part)
{
    struct guest *guest = (struct guest *)part; /* its first field */

    (void)pthread_setspecific(last_moments, guest);
    for (unsigned i = 0; i < OPENINGS; i++) {
        const struct stress_plugin *plugin;
        void *handle = open_plugin((unsigned)kit_rng_below(&part->rng, STRESS_PLUGINS), &plugin);

        plugin->use_thread_local(kit_rng_next(&part->rng));
        work_some(part);
        plugin->use_thread_local(0);
        leave(guest, plugin, handle);
    }
}

/* The program's own destructor of thread-specific data: the last round closes libraries. */
static void on_last_moments(void *argument)
{
    struct guest *guest = argument;

    kit_self = &guest->part;
    work_some(&guest->part);
    if (++guest->last_rounds < STRESS_PLUGIN_ROUNDS)
        (void)pthread_setspecific(last_moments, guest);
    else
        close_all(&guest->until_last_moments);
}

static void expect_rounds(const char *which, unsigned ran, unsigned expected)
{
    if (ran != expected)
        kit_violation(NULL, NULL, "destructors", "%u of %s ran, expected %u", ran, which, expected);
}

static void receive_guest(struct kit_thread *thread, struct kit_block **blocks)
{
    struct guest guest = {
        .part = {.run = thread->run,
                 .index = thread->index,
                 .rng = {kit_rng_next(&thread->rng)},
                 .blocks = blocks,
                 .block_count = SHARE,
                 .next_id = thread->next_id},
        .visitor = {.work = work_for_plugin, .context = &guest},
    };

    thread->next_id += UINT64_C(1) << ID_BITS;
    kit_short_start(&guest.thread, &guest.part, visit);
    for (unsigned i = 0; i < STEPS && kit_step(thread); i++)
        kit_mix_step(thread, &mix, thread->run->allocator);
    if (!kit_short_join(&guest.thread))
        fail("a visitor was cancelled");
    expect_rounds("thread-local objects", guest.visitor.thread_exits, guest.thread_exits);
    expect_rounds("a library's thread-specific data", guest.visitor.key_rounds, guest.key_rounds);
    expect_rounds("thread-specific data", guest.last_rounds, STRESS_PLUGIN_ROUNDS);
    close_all(&guest.until_joined);
    kit_put(thread->live_bytes, kit_get(thread->live_bytes) + kit_get(guest.part.live_bytes));
}

static void live_in_child(struct kit_thread *thread)
{
    kit_forked_check(thread);
    kit_forked_work(thread, &child_mix, thread->run->allocator, CHILD_STEPS);
    kit_forked_check(thread);
}

/* The second share of the records is the visitors'. */
static void work(struct kit_thread *thread)
{
    thread->block_count = OWN_SHARE;
    while (kit_step(thread)) {
        kit_mix_step(thread, &mix, thread->run->allocator);
        if (kit_rng_below(&thread->rng, VISIT_EVERY) == 0)
            receive_guest(thread, thread->blocks + OWN_SHARE);
        if (kit_rng_below(&thread->rng, FORK_EVERY) == 0 && kit_forked_is_sound(thread->run->allocator))
            kit_forked_run(thread, live_in_child);
    }
    thread->block_count = OWN_SHARE + SHARE;
}

/* ---- the run ---------------------------------------------------------------------------------------------------- */

static const char *obstacle(void)
{
    char name[sizeof STRESS_PLUGIN_FILE + 8];

    for (unsigned i = 0; i < STRESS_PLUGINS; i++) {
        (void)snprintf(name, sizeof name, STRESS_PLUGIN_FILE, i);
        if (!stress_beside(name, paths[i]))
            return "its libraries do not lie beside the program";
    }
    return NULL;
}

static void open_and_close(unsigned which)
{
    const struct stress_plugin *plugin;
    void *handle = open_plugin(which, &plugin);

    close_plugin(handle);
}

/* Also tells whether libc unloads what is closed: not all do. */
static void prepare(struct kit_run *run)
{
    (void)run;
    libc_unloads = true;
    for (unsigned i = 0; i < STRESS_PLUGINS; i++) {
        records[i] = (struct stress_plugin_record){.fail = fail};
        open_and_close(i);
        libc_unloads = libc_unloads && kit_get(records[i].unloaded) == 1;
    }
}

static void begin(struct kit_run *run)
{
    (void)run;
    if (pthread_key_create(&last_moments, on_last_moments) != 0)
        kit_violation(NULL, NULL, "setup", "no key for thread-specific data");
}

static void free_heirloom(struct stress_plugin_record *record)
{
    struct plugin_block *block =
        atomic_exchange_explicit(&record->heirloom, NULL, memory_order_acquire); /* [HEIRLOOM] */

    if (block != NULL && !plugin_block_is_intact(block, block->bytes, block->key))
        fail("a block of the last load lost content");
    free(block);
}

static void end(struct kit_run *run)
{
    (void)run;
    (void)pthread_key_delete(last_moments);
    /* glibc unloads a library that was closed too early for a thread's destructors when it unloads the next one. */
    for (unsigned i = 0; i < STRESS_PLUGINS; i++)
        open_and_close(i);
    for (unsigned i = 0; i < STRESS_PLUGINS; i++) {
        unsigned loaded = kit_get(records[i].loaded), unloaded = kit_get(records[i].unloaded);

        if (libc_unloads && unloaded != loaded)
            kit_violation(NULL, NULL, "destructors", "library %u was loaded %u times and unloaded %u times", i, loaded,
                          unloaded);
        free_heirloom(&records[i]);
    }
}

const struct kit_scenario stress_libraries = {
    .name = "libraries",
    .summary = "libraries loaded and unloaded, with destructors that allocate in a thread's last moments",
    .needs = KIT_NEEDS_LOADER,
    .uses_libc = true,
    .blocks_of_thread = OWN_SHARE + SHARE,
    .slots = SLOTS,
    .prepare = prepare,
    .begin = begin,
    .work = work,
    .end = end,
    .obstacle = obstacle,
};
