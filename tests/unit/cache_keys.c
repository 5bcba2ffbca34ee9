/*
 * A thread that cannot have thread-specific data would end without anybody seeing it: it gets no cache, and is served
 * all the same. Not built with sanitizers, whose own calls of pthread_setspecific would come here, too.
 */
#include "cache_support.h"

enum { MANY = 500 };

static void *payloads[MANY];

/* Every call of this program and of the library in it comes here (CMakeLists.txt). */
int __real_pthread_setspecific(pthread_key_t which, const void *value);
int __wrap_pthread_setspecific(pthread_key_t which, const void *value);

static bool setspecific_fails;

int __wrap_pthread_setspecific(pthread_key_t which, const void *value)
{
    return setspecific_fails ? ENOMEM : __real_pthread_setspecific(which, value);
}

static void be_served_without(void *context)
{
    struct blocks blocks = {payloads, MANY, 100};

    (void)context;
    take_blocks(&blocks);
    REQUIRE(!i_have_a_cache());
    free_blocks(&blocks);
    REQUIRE(!i_have_a_cache());
}

static void have_one(void *context)
{
    (void)context;
    heapster_free(heapster_malloc(1));
    REQUIRE(i_have_a_cache());
}

static void refuse_keys(void *context)
{
    struct heapster_stats before, after;

    (void)context;
    heapster_free(heapster_malloc(1));
    setspecific_fails = true;
    be_a_thread(be_served_without, NULL);
    before = stats_now();
    for (unsigned i = 0; i < 20; i++)
        be_a_thread(be_served_without, NULL);
    after = stats_now();
    setspecific_fails = false;
    REQUIRE(after.used_blocks == before.used_blocks && after.cached_blocks == before.cached_blocks);
    be_a_thread(have_one, NULL);
}

static void a_thread_whose_end_cannot_be_seen_has_none(void **state)
{
    (void)state;
    run_in_thread(refuse_keys, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_whose_end_cannot_be_seen_has_none),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
