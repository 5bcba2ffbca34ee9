/*
 * heapster-stress-life: one short life of a process, from before its constructors until after its destructors.
 *
 *     preinit or first constructor    the very first call of the allocator; blocks that stay until the end
 *     constructors                    the allocator at work before main, with threads or without
 *     main                            threads that allocate, by the variant
 *     destructors of threads          three rounds of thread-specific data, one of thread-local objects
 *     exit                            atexit, on_exit, destructor functions, each allocating
 *     the very end                    after every library's destructors where libc has on_exit: all blocks are verified
 *                                     and freed, the heap is checked, and the process ends with status 0
 *
 * Every call is judged by the kit's oracle. The part called EARLY belongs to whoever begins and ends the process.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exchange.h"
#include "heapster.h"
#include "life_arguments.h"
#include "life_first.h"
#include "life_variants.h"
#include "mix.h"
#include "oracle.h"
#include "violation.h"

enum { EARLY, MAIN, CREW, CREW_SIZE = 4, PARTS = CREW + CREW_SIZE };
enum { SHARE = 48, SLOTS = 32, STEPS = 150, LIFE = 600, ROUNDS = 3, CHILDREN = 8, HANG_SECONDS = 45 };

/* Not every libc has these. */
extern int on_exit(void (*function)(int, void *), void *argument) __attribute__((weak));
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *argument, void *library) __attribute__((weak));

/* A part of ThreadSanitizer, and a question that LeakSanitizer asks. */
extern void __tsan_acquire(void *address) __attribute__((weak));
int __lsan_is_turned_off(void);

static const struct kit_mix mix = {.sizes = kit_sizes_usual, .hand_over = 10, .resize = 20, .inspect = 10};

static struct life_arguments arguments;
static struct kit_allocator allocator;
static struct kit_config config;
static struct kit_run run;
static struct kit_thread parts[PARTS + 1]; /* the last one where reports expect the checker */
static struct kit_block records[PARTS * SHARE + SLOTS];
static struct kit_block *owned[PARTS * SHARE];
static _Atomic(struct kit_block *) slots[SLOTS];

static bool is_living, is_forked_child;
static pthread_t crew[CREW_SIZE];
static pthread_key_t key;
static unsigned key_rounds[PARTS], thread_exits[PARTS];
static _Atomic bool is_to_go_on;                     /* threads that would end are still wanted */
static _Atomic unsigned ended;                       /* threads whose destructors all ran */
static unsigned exit_handlers, destructor_functions; /* that ran */
static uint64_t used_before;

/* What the process is at; the command in reports says so in a comment. */
static void enter(const char *phase)
{
    static char command[LIFE_COMMAND_BYTES];

    life_arguments_describe(&arguments, phase, command);
    config.reproduce = command;
}

static void work_some(struct kit_thread *part, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        kit_put(part->ops, kit_get(part->ops) + 1);
        kit_mix_step(part, &mix, &allocator);
    }
}

static struct kit_thread *become(unsigned index)
{
    kit_self = &parts[index];
    return kit_self;
}

/* ---- before main ------------------------------------------------------------------------------------------------- */

static struct kit_result *find_result(void)
{
    static struct kit_result own;
    struct stat status;
    void *shared;

    if (fstat(STRESS_LIFE_RESULT_FILE, &status) != 0 || status.st_size != (off_t)sizeof own)
        return &own;
    shared = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, STRESS_LIFE_RESULT_FILE, 0);
    return shared != MAP_FAILED ? shared : &own;
}

static void set_up(void)
{
    config = (struct kit_config){
        .threads = PARTS, .seed = arguments.seed, .tolerated = arguments.tolerated, .strategy_name = "-"};
    run = (struct kit_run){
        .config = &config,
        .allocator = &allocator,
        .result = find_result(),
        .shadow = kit_shadow_make(),
        .threads = parts,
        .blocks = records,
        .block_count = sizeof records / sizeof records[0],
        .slots = slots,
        .slot_count = SLOTS,
    };
    for (unsigned i = 0; i < SLOTS; i++)
        atomic_init(&slots[i], &records[PARTS * SHARE + i]);
    for (unsigned i = 0; i < PARTS * SHARE; i++)
        owned[i] = &records[i];
    for (unsigned i = 0; i <= PARTS; i++) {
        parts[i].run = &run;
        parts[i].index = i;
        parts[i].rng = kit_rng_for(arguments.seed, arguments.variant_name, i);
        parts[i].blocks = i < PARTS ? owned + (size_t)i * SHARE : NULL;
        parts[i].block_count = i < PARTS ? SHARE : 0;
    }
    kit_current = &run;
}

/* But for the one of the first call; 0 where the allocator does not say. */
static uint64_t used_blocks(void)
{
    if (allocator.used_blocks == NULL)
        return 0;
    return allocator.used_blocks(allocator.context) - (life_first_is_kept() ? 1 : 0);
}

static void finish(int status, void *argument);

/* Called by whatever comes first in this libc. */
static void begin(void)
{
    static bool has_begun;

    if (has_begun)
        return;
    has_begun = true;
    life_arguments_read(&arguments);
    if (arguments.errand != LIFE_LIVE)
        return;
    set_up();
    enter("in its first call");
    kit_violation_catch_signals();
    (void)alarm(HANG_SECONDS);
    life_first_call(arguments.of_heapster, arguments.seed);
    allocator = arguments.of_heapster ? kit_heapster : kit_system();
    if (allocator.usable_size == NULL)
        kit_violation(NULL, NULL, "setup", "no malloc_usable_size");
    if (arguments.of_heapster)
        (void)heapster_set_strategy((enum heapster_strategy)(arguments.seed % (HEAPSTER_WORST_FIT + 1)));
    is_living = true;
    enter("before its constructors");
    used_before = used_blocks();
    work_some(become(EARLY), STEPS);
    if (on_exit != NULL)
        (void)on_exit(finish, NULL);
}

/* Programs have these, libraries have not; some libcs pass over them. */
typedef void before_constructors(void);
__attribute__((section(".preinit_array"), used)) static before_constructors *const at_preinit = begin;

__attribute__((constructor(101))) static void at_first_constructor(void)
{
    begin();
}

static void on_exit_handler(void)
{
    enter("in an atexit handler");
    exit_handlers++;
    work_some(become(EARLY), STEPS);
}

static void start_crew(void *(*body)(void *part), unsigned from)
{
    for (unsigned i = from; i < CREW_SIZE; i++)
        if (pthread_create(&crew[i], NULL, body, &parts[CREW + i]) != 0)
            kit_violation(NULL, NULL, "setup", "no thread");
}

static void *live(void *argument);
static void on_key(void *argument);

__attribute__((constructor)) static void at_constructor(void)
{
    if (!is_living)
        return;
    enter("in a constructor");
    if (pthread_key_create(&key, on_key) != 0 || atexit(on_exit_handler) != 0)
        kit_violation(NULL, NULL, "setup", "no key or no atexit handler");
    if (arguments.variant == STRESS_LIFE_BEFORE_MAIN)
        start_crew(live, 0);
    work_some(become(EARLY), STEPS);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* Whoever is the last one to end ends the process: libc sees to that, but not where ThreadSanitizer has a thread of its
 * own in the background, which never ends and lets no signal through. */
static void end_with_last_thread(void)
{
    unsigned before = atomic_fetch_add_explicit(&ended, 1, memory_order_acq_rel); /* [ENDED] their counts are visible */

    if (arguments.variant == STRESS_LIFE_MAIN_ENDS_FIRST && before == CREW_SIZE && __tsan_acquire != NULL)
        exit(STRESS_LIFE_UNFINISHED);
}

/* Sets the key anew but the last time. */
static void on_key(void *argument)
{
    struct kit_thread *part = argument;

    kit_self = part;
    work_some(part, STEPS);
    if (arguments.variant == STRESS_LIFE_EXIT_IN_DESTRUCTOR && part->index == CREW)
        exit(STRESS_LIFE_UNFINISHED);
    if (++key_rounds[part->index] < ROUNDS)
        (void)pthread_setspecific(key, part);
    else
        end_with_last_thread();
}

static void on_thread_exit(void *argument)
{
    struct kit_thread *part = argument;

    work_some(part, STEPS);
    thread_exits[part->index]++;
}

static void await_thread_exit(struct kit_thread *part)
{
    if (__cxa_thread_atexit_impl != NULL && __cxa_thread_atexit_impl(on_thread_exit, part, &run) != 0)
        kit_violation(NULL, NULL, "setup", "no destructor for a thread-local object");
}

static void *live(void *argument)
{
    struct kit_thread *part = argument;

    kit_self = part;
    (void)pthread_setspecific(key, part);
    await_thread_exit(part);
    do
        work_some(part, LIFE);
    while (kit_get(is_to_go_on));
    return NULL;
}

static void *live_on(void *argument)
{
    kit_self = argument;
    for (;;)
        work_some(argument, STEPS);
    return NULL;
}

static void *exit_soon(void *argument)
{
    kit_self = argument;
    work_some(argument, LIFE);
    enter("in exit, called by a thread");
    exit(STRESS_LIFE_UNFINISHED);
}

static void *replace_program(void *argument)
{
    char *next[LIFE_ARGUMENTS];

    kit_self = argument;
    work_some(argument, LIFE);
    enter("when it is to be replaced");
    life_arguments_of_next(&arguments, STRESS_LIFE_RETURN, next);
    (void)execv("/proc/self/exe", next);
    kit_violation(NULL, NULL, "setup", "the program cannot be replaced by itself");
}

static void expect_key_rounds(unsigned index)
{
    if (key_rounds[index] != ROUNDS)
        kit_violation(NULL, NULL, "destructors", "%u of %d rounds ran in thread %u", key_rounds[index], ROUNDS, index);
}

static void expect_thread_exit(unsigned index)
{
    if (__cxa_thread_atexit_impl != NULL && thread_exits[index] != 1)
        kit_violation(NULL, NULL, "destructors", "that of a thread-local object ran %u times in thread %u",
                      thread_exits[index], index);
}

static void expect_destructors_of_crew(void)
{
    for (unsigned i = CREW; i < PARTS; i++) {
        expect_key_rounds(i);
        expect_thread_exit(i);
    }
}

static void join_crew(void)
{
    for (unsigned i = 0; i < CREW_SIZE; i++)
        if (pthread_join(crew[i], NULL) != 0)
            kit_violation(NULL, NULL, "setup", "a thread cannot be joined");
    expect_destructors_of_crew();
}

static void detach_crew(void)
{
    for (unsigned i = 0; i < CREW_SIZE; i++)
        (void)pthread_detach(crew[i]);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void release_part(struct kit_thread *part)
{
    for (unsigned i = 0; i < SHARE; i++)
        if (kit_block_is_live(part->blocks[i]))
            kit_mix_release(part, part->blocks[i]);
}

static void release_all(struct kit_thread *part)
{
    for (unsigned i = 0; i < PARTS; i++)
        release_part(&parts[i]);
    for (unsigned i = 0; i < SLOTS; i++) {
        struct kit_block *block = atomic_load_explicit(&slots[i], memory_order_acquire); /* [EXCHANGE] */

        if (kit_block_is_live(block))
            kit_mix_release(part, block);
    }
}

static void check(bool at_rest)
{
    struct kit_text findings = {.length = 0};

    if (allocator.check != NULL)
        allocator.check(allocator.context, at_rest, &findings);
    if (findings.length != 0)
        kit_violation(NULL, NULL, at_rest ? "heap at rest" : "running heap", "\n%.*s", (int)findings.length,
                      findings.bytes);
}

/* A forked child is alone, but what others had in hand when it was forked is nobody's. */
static _Noreturn void end_life(void)
{
    struct kit_thread *part = become(EARLY);
    bool is_alone = stress_life_texts[arguments.variant].ends_alone;

    enter("at its very end");
    work_some(part, STEPS);
    life_first_end();
    if (is_alone && !is_forked_child)
        release_all(part);
    else
        release_part(part);
    check(is_alone);
    if (is_alone && !is_forked_child && used_blocks() != used_before)
        kit_violation(NULL, NULL, "leak", "%llu blocks in use at the end, %llu at the beginning",
                      (unsigned long long)used_blocks(), (unsigned long long)used_before);
    _exit(STRESS_LIFE_GOOD);
}

static void finish(int status, void *argument)
{
    (void)status;
    (void)argument;
    if (exit_handlers != 1 || destructor_functions != 1)
        kit_violation(NULL, NULL, "destructors", "%u atexit handlers and %u destructor functions ran, expected 1 and 1",
                      exit_handlers, destructor_functions);
    /* glibc runs the destructors of main's thread-local objects in exit, not when main ends by pthread_exit. */
    if (arguments.variant == STRESS_LIFE_RETURN)
        expect_thread_exit(MAIN);
    if (arguments.variant == STRESS_LIFE_MAIN_ENDS_FIRST) {
        expect_key_rounds(MAIN);
        expect_destructors_of_crew();
    }
    end_life();
}

__attribute__((destructor(101))) static void at_last_destructor(void)
{
    if (!is_living)
        return;
    enter("in a destructor function");
    destructor_functions++;
    work_some(become(EARLY), STEPS);
    if (on_exit == NULL)
        finish(0, NULL);
}

static void on_quick_exit(void)
{
    end_life();
}

/* What threads that are cut off had of libc is no leak; the blocks of Heapster are counted above. */
int __lsan_is_turned_off(void)
{
    return is_forked_child || !stress_life_texts[arguments.variant].ends_alone;
}

/* ---- main -------------------------------------------------------------------------------------------------------- */

static void exit_in_child(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        (void)alarm(HANG_SECONDS);
        is_forked_child = true;
        enter("in a forked child");
        work_some(become(MAIN), STEPS);
        exit(STRESS_LIFE_UNFINISHED);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        kit_violation(NULL, NULL, "setup", "no child");
    if (status != 0)
        kit_violation(NULL, NULL, "child", "a forked child ended with wait status %d", status);
}

static void fork_children(void)
{
    kit_put(is_to_go_on, true);
    start_crew(live, 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        exit_in_child();
    kit_put(is_to_go_on, false);
    join_crew();
}

static void live_variant(struct kit_thread *part)
{
    switch (arguments.variant) {
    case STRESS_LIFE_BEFORE_MAIN:
        work_some(part, LIFE);
        join_crew();
        break;
    case STRESS_LIFE_OTHERS_GO_ON:
        start_crew(live_on, 0);
        detach_crew();
        work_some(part, LIFE);
        break;
    case STRESS_LIFE_MAIN_ENDS_FIRST:
        start_crew(live, 0);
        detach_crew();
        (void)pthread_setspecific(key, part);
        pthread_exit(NULL);
    case STRESS_LIFE_EXIT_IN_THREAD:
        start_crew(live_on, 1);
        (void)pthread_create(&crew[0], NULL, exit_soon, &parts[CREW]);
        (void)live_on(part);
        break;
    case STRESS_LIFE_EXIT_IN_DESTRUCTOR:
        start_crew(live_on, 1);
        (void)pthread_create(&crew[0], NULL, live, &parts[CREW]);
        (void)live_on(part);
        break;
    case STRESS_LIFE_QUICK_EXIT:
        if (at_quick_exit(on_quick_exit) != 0)
            kit_violation(NULL, NULL, "setup", "no handler for quick_exit");
        start_crew(live_on, 0);
        work_some(part, LIFE);
        quick_exit(STRESS_LIFE_UNFINISHED);
    case STRESS_LIFE_FORKED_EXIT:
        fork_children();
        break;
    case STRESS_LIFE_EXEC:
        start_crew(live_on, 1);
        (void)pthread_create(&crew[0], NULL, replace_program, &parts[CREW]);
        (void)live_on(part);
        break;
    default:
        await_thread_exit(part);
        start_crew(live, 0);
        work_some(part, LIFE);
        join_crew();
        break;
    }
}

int main(void)
{
    if (arguments.errand == LIFE_LIST) {
        for (unsigned i = 0; i < STRESS_LIFE_VARIANTS; i++)
            (void)printf("%-20s %s\n", stress_life_texts[i].name, stress_life_texts[i].summary);
        return 0;
    }
    if (!is_living) {
        (void)fputs(life_usage, stderr);
        return STRESS_LIFE_USAGE;
    }
    enter("in main");
    for (unsigned i = 0; i < SHARE; i++)
        if (kit_block_is_live(parts[EARLY].blocks[i]))
            kit_inspect(&parts[EARLY], parts[EARLY].blocks[i]);
    live_variant(become(MAIN));
    enter("when main returned");
    return STRESS_LIFE_UNFINISHED;
}
