/*
 * What a program does wrong with pointers: a second free, pointers that are none of ours, pointers into a block. Each
 * misuse is done in a child of its own, which must print exactly the one line and abort; with the option abort=off it
 * prints the line, ignores the call and goes on with a heap that works.
 */
#include "misuse.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "region.h"

#define MEBIBYTE ((size_t)1 << 20)

/* ---- freed twice ----------------------------------------------------------------------------------------------- */

static void free_twice(void *context)
{
    char *block = heapster_malloc(*(const size_t *)context);

    heapster_free(block);
    heapster_free(block);
}

static void double_free(void **state)
{
    static size_t sizes[] = {0, 1, 24, 100, 104, 1000, 100000, MEBIBYTE};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        expect_misuse("double free", free_twice, &sizes[i]);
}

static void free_merged_left(void *context)
{
    char *left = heapster_malloc(100), *block = heapster_malloc(100), *guard = heapster_malloc(100);

    (void)context;
    heapster_free(left);
    heapster_free(block);
    heapster_free(block);
    heapster_free(guard);
}

static void free_merged_right(void *context)
{
    char *block = heapster_malloc(100), *right = heapster_malloc(100), *guard = heapster_malloc(100);

    (void)context;
    heapster_free(block);
    heapster_free(right);
    heapster_free(right);
    heapster_free(guard);
}

static void double_free_after_a_merge(void **state)
{
    (void)state;
    expect_misuse("double free", free_merged_left, NULL);
    expect_misuse("double free", free_merged_right, NULL);
}

/* Blocks of one size, every second one freed: they stand on an exact list and merge with nothing. */
static void free_twice_on_an_exact_list(void *context)
{
    void *blocks[9];

    (void)context;
    for (unsigned i = 0; i < 9; i++)
        blocks[i] = heapster_malloc(40);
    for (unsigned i = 1; i < 9; i += 2)
        heapster_free(blocks[i]);
    heapster_free(blocks[3]);
}

static void double_free_on_an_exact_list(void **state)
{
    (void)state;
    expect_misuse("double free", free_twice_on_an_exact_list, NULL);
}

static void free_twice_in_an_arena(void *context)
{
    static _Alignas(16) char buffer[4096];
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    heapster_arena *arena = heapster_arena_create(*(bool *)context ? &config : NULL);
    void *block = heapster_arena_malloc(arena, 100), *guard = heapster_arena_malloc(arena, 100);

    heapster_free(block);
    heapster_free(block);
    heapster_free(guard);
}

static void double_free_in_a_first_class_arena(void **state)
{
    bool on_buffer = true;

    (void)state;
    expect_misuse("double free", free_twice_in_an_arena, &on_buffer);
    on_buffer = false;
    expect_misuse("double free", free_twice_in_an_arena, &on_buffer);
}

enum { REUSED_BYTES = 256 * 1024 };

static _Alignas(65536) char reused[REUSED_BYTES];

static void *map_reused(size_t bytes, void *context)
{
    (void)context;
    return bytes <= sizeof reused ? reused : NULL;
}

static void unmap_nothing(void *base, size_t bytes, void *context)
{
    (void)base;
    (void)bytes;
    (void)context;
}

/* A pointer that died with its arena, freed when another arena has the memory. */
static void free_in_the_next_arena(void *context)
{
    const struct heapster_arena_config *config = context;
    heapster_arena *arena = heapster_arena_create(config);
    char *blocks[3], *big;

    for (unsigned i = 0; i < 3; i++)
        blocks[i] = heapster_arena_malloc(arena, 1000);
    heapster_arena_destroy(arena);
    arena = heapster_arena_create(config);
    big = heapster_arena_malloc(arena, 20000);
    REQUIRE(big == blocks[0]); /* and so holds the other two */
    heapster_free(blocks[1]);
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
    heapster_free(big);
    heapster_arena_destroy(arena);
}

static void double_free_in_memory_that_has_a_new_arena(void **state)
{
    static const struct heapster_os_hooks hooks = {map_reused, unmap_nothing, NULL};
    static struct heapster_arena_config on_buffer = {.buffer = reused, .buffer_bytes = sizeof reused};
    static struct heapster_arena_config hooked = {.hooks = &hooks};

    (void)state;
    expect_misuse("double free", free_in_the_next_arena, &on_buffer);
    expect_misuse("double free", free_in_the_next_arena, &hooked);
}

static void realloc_freed(void *context)
{
    char *block = heapster_malloc(*(const size_t *)context);

    heapster_free(block);
    block = heapster_realloc(block, 50);
    REQUIRE(block == NULL);
}

static void realloc_of_a_freed_block(void **state)
{
    static size_t sizes[] = {24, 1000, MEBIBYTE};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        expect_misuse("realloc of a freed block", realloc_freed, &sizes[i]);
}

static void ask_a_freed_block(void *context)
{
    char *block = heapster_malloc(100);

    (void)context;
    heapster_free(block);
    REQUIRE(heapster_usable_size(block) == 0);
}

static void usable_size_of_a_freed_block(void **state)
{
    (void)state;
    expect_misuse("usable_size of a freed block", ask_a_freed_block, NULL);
}

/* ---- foreign pointers ------------------------------------------------------------------------------------------ */

static _Alignas(16) char in_data[64];

static void free_this(void *context)
{
    heapster_free(context);
}

static void free_on_the_stack(void *context)
{
    _Alignas(16) char on_stack[64] = "";

    (void)context;
    heapster_free(on_stack + 16);
}

static void free_at_the_start_of_a_mapping(void *context)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)context;
    REQUIRE(page != MAP_FAILED);
    heapster_free(page);
}

static void free_of_a_foreign_pointer(void **state)
{
    (void)state;
    expect_misuse("free of a foreign pointer", free_this, in_data + 16);
    expect_misuse("free of a foreign pointer", free_this, in_data + 3);
    expect_misuse_or_fault("free of a foreign pointer", free_this, (void *)(uintptr_t)16);
    expect_misuse("free of a foreign pointer", free_this, (void *)(uintptr_t)1);
    expect_misuse_or_fault("free of a foreign pointer", free_this, (void *)(UINTPTR_MAX - 15));
    expect_misuse("free of a foreign pointer", free_on_the_stack, NULL);
    expect_misuse("free of a foreign pointer", free_at_the_start_of_a_mapping, NULL);
}

static void realloc_this(void *context)
{
    void *moved = heapster_realloc(context, 100);

    REQUIRE(moved == NULL);
}

static void realloc_of_a_foreign_pointer(void **state)
{
    (void)state;
    expect_misuse("realloc of a foreign pointer", realloc_this, in_data + 16);
}

static void free_after_destroy(void *context)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    void *block = heapster_arena_malloc(arena, *(const size_t *)context);

    heapster_arena_destroy(arena);
    heapster_free(block);
}

static void free_of_a_block_whose_arena_is_gone(void **state)
{
    static size_t small = 100, large = MEBIBYTE;

    (void)state;
    expect_misuse_or_fault("double free", free_after_destroy, &small);
    expect_misuse("double free", free_after_destroy, &large);
}

/* ---- interior pointers ----------------------------------------------------------------------------------------- */

struct interior {
    size_t bytes, offset;
};

static void free_inside(void *context)
{
    const struct interior *interior = context;
    char *block = heapster_malloc(interior->bytes);

    fill_pattern(block, interior->bytes, 1);
    heapster_free(block + interior->offset);
    REQUIRE(holds_pattern(block, interior->bytes, 1));
    heapster_free(block);
}

static void realloc_inside(void *context)
{
    const struct interior *interior = context;
    char *block = heapster_malloc(interior->bytes), *moved = heapster_realloc(block + interior->offset, 10);

    REQUIRE(moved == NULL);
    heapster_free(block);
}

static void free_of_an_interior_pointer(void **state)
{
    static struct interior table[] = {
        {100, 16},      {100, 96},     {100, 8},         {100, 1},          {1000, 512},        {100000, 65536},
        {MEBIBYTE, 16}, {MEBIBYTE, 1}, {MEBIBYTE, 4096}, {MEBIBYTE, 65536}, {MEBIBYTE, 700000}, {MEBIBYTE, 700001},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        expect_misuse("free of an interior pointer", free_inside, &table[i]);
}

static void realloc_of_an_interior_pointer(void **state)
{
    static struct interior table[] = {{100, 16}, {100, 1}, {MEBIBYTE, 4096}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        expect_misuse("realloc of an interior pointer", realloc_inside, &table[i]);
}

/* The header page of a large block belongs to the heap, not to the program. */
static void free_before_a_large_block(void *context)
{
    char *block = heapster_malloc(MEBIBYTE);

    (void)context;
    heapster_free(block - 16);
    heapster_free(block);
}

static void free_of_the_page_before_a_large_block(void **state)
{
    (void)state;
    expect_misuse("free of an interior pointer", free_before_a_large_block, NULL);
}

/* Just before the address there is nothing to read. */
static void free_where_a_buffer_begins(void *context)
{
    size_t page = hs_os_page_bytes();
    char *memory = mmap(NULL, 16 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct heapster_arena_config config = {.buffer = memory + page, .buffer_bytes = 15 * page};
    char *block;

    (void)context;
    REQUIRE(memory != MAP_FAILED && mprotect(memory + page, 15 * page, PROT_READ | PROT_WRITE) == 0);
    block = heapster_arena_malloc(heapster_arena_create(&config), 1000);
    REQUIRE(block == memory + page + 16);
    heapster_free(memory + page);
    heapster_free(block);
}

/* The beginning of a region from mmap, where a block in use stands. */
static char *make_mapped_region(void)
{
    struct hs_region *region;
    char *block;

    do {
        block = heapster_malloc(100000);
        REQUIRE(block != NULL);
        region = hs_region_find(block);
    } while (region->kind != HS_REGION_MAPPED || block != region->base + 16);
    return region->base;
}

/* False where something else is mapped there. */
static bool forbid_page(void *page)
{
    return mmap(page, hs_os_page_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == page;
}

static void free_where_a_mapping_begins(void *context)
{
    char *base;
    unsigned regions = 0;

    (void)context;
    fail_os_calls(1U << HS_OS_SBRK);
    do {
        base = make_mapped_region();
        REQUIRE(++regions < 100);
    } while (!forbid_page(base - hs_os_page_bytes()));
    fail_os_calls(0);
    heapster_free(base);
}

static void free_of_the_start_of_a_region(void **state)
{
    (void)state;
    /* Before the first block of memory that is the caller's own: either name is right. */
    expect_misuse("free of an? (interior|foreign) pointer", free_where_a_buffer_begins, NULL);
    expect_misuse("free of an interior pointer", free_where_a_mapping_begins, NULL);
}

/* ---- what a handler may do ------------------------------------------------------------------------------------- */

static void allocate_in_the_handler(int signal_number)
{
    void *block = heapster_malloc(1000), *large = heapster_malloc(MEBIBYTE);

    (void)signal_number;
    REQUIRE(block != NULL && large != NULL);
    heapster_free(block);
    heapster_free(large);
    REQUIRE(heapster_check(HEAPSTER_CHECK_RUNNING, NULL, NULL) == 0);
    _exit(42);
}

static void abort_into_a_handler(void *context)
{
    static size_t bytes = 100;
    struct sigaction action = {.sa_handler = allocate_in_the_handler};

    REQUIRE(sigaction(SIGABRT, &action, NULL) == 0);
    ((child_body *)context)(&bytes);
}

static void handler_of_sigabrt_may_allocate(void **state)
{
    struct outcome outcome;

    (void)state;
    run_child(&outcome, abort_into_a_handler, (void *)free_twice);
    assert_exits_with(&outcome, 42);
    assert_true(is_misuse_report(outcome.text, "double free"));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_free),
        cmocka_unit_test(double_free_after_a_merge),
        cmocka_unit_test(double_free_on_an_exact_list),
        cmocka_unit_test(double_free_in_a_first_class_arena),
        cmocka_unit_test(double_free_in_memory_that_has_a_new_arena),
        cmocka_unit_test(realloc_of_a_freed_block),
        cmocka_unit_test(usable_size_of_a_freed_block),
        cmocka_unit_test(free_of_a_foreign_pointer),
        cmocka_unit_test(realloc_of_a_foreign_pointer),
        cmocka_unit_test(free_of_a_block_whose_arena_is_gone),
        cmocka_unit_test(free_of_an_interior_pointer),
        cmocka_unit_test(realloc_of_an_interior_pointer),
        cmocka_unit_test(free_of_the_page_before_a_large_block),
        cmocka_unit_test(free_of_the_start_of_a_region),
        cmocka_unit_test(handler_of_sigabrt_may_allocate),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
