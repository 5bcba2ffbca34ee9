/*
 * Before main, after main, and around threads and libraries: whenever a block is allocated, it lives until it is freed,
 * whoever made it and whatever became of them.
 */
#include "support.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 16, BLOCKS = 100, EARLY_BYTES = 5000, EXIT_DAMAGED = 3 };

/* ---- before and after main ------------------------------------------------------------------------------------- */

static char *early, *until_exit;

/* Before the library's own constructor. */
__attribute__((constructor(101))) static void allocate_early(void)
{
    early = heapster_malloc(EARLY_BYTES);
    until_exit = heapster_calloc(1, EARLY_BYTES);
    if (early == NULL || until_exit == NULL || !is_zero(until_exit, EARLY_BYTES))
        abort();
    fill_pattern(early, EARLY_BYTES, 1);
    fill_pattern(until_exit, EARLY_BYTES, 2);
}

/* After everything else, the library's own destructor included. */
__attribute__((destructor(101))) static void free_late(void)
{
    void *late = heapster_malloc(100);

    if (late == NULL || !holds_pattern(until_exit, EARLY_BYTES, 2))
        _exit(EXIT_DAMAGED);
    heapster_free(late);
    heapster_free(until_exit);
    if (heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) != 0)
        _exit(EXIT_DAMAGED);
}

static void free_at_exit(void)
{
    until_exit = heapster_realloc(until_exit, (size_t)4 * EARLY_BYTES);
    if (!holds_pattern(until_exit, EARLY_BYTES, 2))
        _exit(EXIT_DAMAGED);
}

static void block_from_before_main(void **state)
{
    (void)state;
    assert_true(holds_pattern(early, EARLY_BYTES, 1));
    early = heapster_realloc(early, 100000);
    assert_true(holds_pattern(early, EARLY_BYTES, 1));
    heapster_free(early);
    assert_sound();
}

static void blocks_after_main(void **state)
{
    struct outcome outcome;

    (void)state;
    run_again(&outcome, "--exit", NULL);
    assert_quiet_success(&outcome);
}

/* ---- threads --------------------------------------------------------------------------------------------------- */

static void *allocate_and_leave(void *context)
{
    char **blocks = context;

    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = heapster_malloc((size_t)i * 40);
        fill_pattern(blocks[i], (size_t)i * 40, i);
    }
    return NULL;
}

static void blocks_outlive_their_thread(void **state)
{
    static char *blocks[THREADS][BLOCKS];
    pthread_t threads[THREADS];

    (void)state;
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, allocate_and_leave, blocks[t]), 0);
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (unsigned t = 0; t < THREADS; t++)
        for (unsigned i = 0; i < BLOCKS; i++) {
            assert_true(holds_pattern(blocks[t][i], (size_t)i * 40, i));
            heapster_free(blocks[t][i]);
        }
    assert_sound();
}

static pthread_key_t key;

static unsigned runs_of_destructor; /* in threads that are joined before it is read */

/* Runs again as long as it sets a value, which it does twice. */
static void allocate_in_a_destructor(void *value)
{
    unsigned char *block = value;
    unsigned char rounds = block[0];

    heapster_free(block);
    runs_of_destructor++;
    if (rounds == 0)
        return;
    block = heapster_malloc(500);
    assert_non_null(block);
    block[0] = (unsigned char)(rounds - 1);
    (void)pthread_setspecific(key, block);
}

static void *set_a_value(void *context)
{
    unsigned char *block = heapster_malloc(300);

    (void)context;
    block[0] = 2;
    (void)pthread_setspecific(key, block);
    return NULL;
}

static void destructors_of_threads_allocate(void **state)
{
    struct heapster_stats before, after;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_key_create(&key, allocate_in_a_destructor), 0);
    for (unsigned round = 0; round < 50; round++) {
        heapster_stats(&before);
        assert_int_equal(pthread_create(&thread, NULL, set_a_value, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        heapster_stats(&after);
        assert_int_equal(runs_of_destructor, 3 * (round + 1));
        /* Not by allocations and frees: what comes from a cache and goes there is counted in neither. The first thread
         * leaves libc what it keeps for the next one. */
        if (round > 0)
            assert_int_equal(after.used_blocks, before.used_blocks);
    }
    assert_sound();
    (void)pthread_key_delete(key);
}

static void *allocate_in_turn(void *context)
{
    void **block = context;

    heapster_free(*block);
    *block = heapster_malloc(1000);
    return NULL;
}

/* More threads than there can be arenas, one after the other. */
static void threads_come_and_go(void **state)
{
    void *block = NULL;

    (void)state;
    for (unsigned i = 0; i < 600; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, allocate_in_turn, &block), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    heapster_free(block);
    assert_sound();
}

/* ---- libraries ------------------------------------------------------------------------------------------------- */

static void libraries_come_and_go(void **state)
{
    char *kept[20];

    (void)state;
    for (unsigned i = 0; i < COUNT_OF(kept); i++) {
        void *library = dlopen(LIFE_LIBRARY, RTLD_NOW);
        char *(*hand_over)(unsigned seed);

        if (library == NULL) {
            fail_msg("%s", dlerror());
            return;
        }
        *(void **)&hand_over = dlsym(library, "hand_over");
        assert_non_null(hand_over);
        kept[i] = hand_over(i);
        assert_int_equal(dlclose(library), 0);
    }
    for (unsigned i = 0; i < COUNT_OF(kept); i++) {
        assert_int_equal(kept[i][0], (char)i);
        heapster_free(kept[i]);
    }
    assert_sound();
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_from_before_main),      cmocka_unit_test(blocks_after_main),
        cmocka_unit_test(blocks_outlive_their_thread), cmocka_unit_test(destructors_of_threads_allocate),
        cmocka_unit_test(threads_come_and_go),         cmocka_unit_test(libraries_come_and_go),
    };

    if (argc == 2 && strcmp(argv[1], "--exit") == 0)
        return atexit(free_at_exit);
    return run_named(tests, COUNT_OF(tests), argc, argv);
}
