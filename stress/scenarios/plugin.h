/*
 * plugin: what the scenario `libraries` and the libraries that it loads and unloads know of each other.
 *
 *     the program     a record for each library, which outlives all its loads; a visitor for each thread that comes in
 *     the library     a table of functions, by the name of STRESS_PLUGIN_SYMBOL
 *
 * What a library allocates on its own account comes from the process's malloc, whichever allocator is under test: that
 * is what libc and the dynamic linker allocate from while they load, unload, and set up thread-local storage.
 */
#ifndef STRESS_PLUGIN_H
#define STRESS_PLUGIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* So many libraries, no two of one size; and so many rounds of destructors of thread-specific data. Sanitizers take the
 * thread apart in the fourth round. */
enum { STRESS_PLUGINS = 4, STRESS_PLUGIN_ROUNDS = 3 };

#define STRESS_PLUGIN_FILE "libstress_plugin_%u.so"
#define STRESS_PLUGIN_SYMBOL "stress_plugin"

struct stress_plugin_record {
    void (*fail)(const char *what); /* does not return */
    _Atomic unsigned loaded;        /* its constructor ran and somebody came in */
    _Atomic unsigned unloaded;      /* its destructor ran */
    _Atomic(void *) heirloom;       /* a block of the last load; plugin_block.h */
};

/* A thread; the library keeps the counts. */
struct stress_plugin_visitor {
    void (*work)(struct stress_plugin_visitor *visitor); /* some operations on the allocator under test */
    void *context;                                       /* of `work` */
    unsigned thread_exits;                               /* destructors of thread-local objects that ran */
    unsigned key_rounds;                                 /* destructors of thread-specific data */
};

struct stress_plugin {
    /* First of all, by everyone who has opened the library. */
    void (*come_in)(struct stress_plugin_record *record);
    /* Fills the calling thread's variables at its first call in a load, and verifies them at every other one. */
    void (*use_thread_local)(uint64_t key);
    /* Lets a destructor of a thread-local object run at the thread's end; the library stays until then, closed or not.
     * False where libc knows no such thing. */
    bool (*work_at_thread_exit)(struct stress_plugin_visitor *visitor);
    /* The same by a key for thread-specific data; the library is to stay open until the thread was joined. */
    void (*work_by_key)(struct stress_plugin_visitor *visitor);
};

#endif
