/*
 * The checker and the invariants of caches, C1 to C5, and of runs, B8: each test breaks one and expects that very
 * number, and soundness once it is put right.
 *
 * The cache has blocks of two classes in bins, a run, blocks of another arena in an outbox and unsent, and some in its
 * own inbox.
 */
#include "cache_support.h"

#include <unistd.h>

enum { BLOCKS = 20, REMOTE = 70, UNSENT = 3 };

static void *payloads[BLOCKS], *sent[REMOTE];
static struct worker other;

/* Of the other thread's arena, and of this one's. */
static void *theirs[BLOCKS];
static void *used;

static struct hs_outbox *outbox(void)
{
    return &hs_cache_self->outboxes[other.cache->arena->number % HS_OUTBOXES];
}

static void set_the_scene(void)
{
    struct blocks mine = {payloads, BLOCKS, 100}, of_other = {theirs, BLOCKS, 300};
    struct blocks to_send = {sent, REMOTE, 200};

    start_worker(&other);
    let(&other, take_blocks_inside_pages, &of_other);
    take_blocks(&to_send);
    take_blocks(&mine);
    used = heapster_malloc(100);
    heapster_free(heapster_malloc(600));
    free_blocks(&mine);
    of_other.count = HS_WAITING_MOST + UNSENT;
    free_blocks(&of_other);
    let(&other, free_blocks, &to_send); /* last: nothing is to be taken out of the inbox */
    REQUIRE(hs_cache_self->run != NULL && count_in_bin(hs_cache_self, 100) >= BLOCKS);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->inbox_blocks) != 0);
    REQUIRE(hs_load_relaxed(&hs_cache_self->unsent.count) == UNSENT);
    REQUIRE(outbox()->newest != NULL);
    require_sound();
}

static struct hs_bin *bin_of(size_t bytes)
{
    return &hs_cache_self->bins[hs_class_for(hs_block_bytes_for(bytes))];
}

/* What is broken, and how it is put right; twice the same call. */
typedef void break_it(bool is_repair);

static void exchange(break_it *body, const char *number)
{
    struct complaints complaints;

    body(false);

    complaints = complaints_of(HEAPSTER_CHECK_AT_REST);
    body(true);
    if (!complains_of(&complaints, number)) {
        (void)hs_os_write(STDERR_FILENO, complaints.numbers, strlen(complaints.numbers));
        (void)hs_os_write(STDERR_FILENO, number, strlen(number));
    }
    REQUIRE(complains_of(&complaints, number));
    require_sound();
}

struct breach {
    break_it *body;
    const char *number;
};

static void run_breach(void *context)
{
    const struct breach *breach = context;

    set_the_scene();
    exchange(breach->body, breach->number);
    end_worker(&other);
}

static void expect_complaint(break_it *body, const char *number)
{
    struct breach breach = {body, number};

    run_in_thread(run_breach, &breach);
}

static void push_into(struct hs_bin *bin, void *payload)
{
    void **top = hs_load_relaxed(&bin->top);

    *top = payload;
    hs_store_relaxed(&bin->top, top + 1);
}

static void drop_from(struct hs_bin *bin)
{
    hs_store_relaxed(&bin->top, hs_load_relaxed(&bin->top) - 1);
}

/* ---- C1, C2 ------------------------------------------------------------------------------------------------------ */

static void put_in_two_bins(bool is_repair)
{
    if (is_repair)
        drop_from(bin_of(600));
    else
        push_into(bin_of(600), payloads[0]);
}

static void put_in_a_bin_twice(bool is_repair)
{
    static void *replaced;
    void **top = hs_load_relaxed(&bin_of(100)->top);

    if (!is_repair)
        replaced = top[-1];
    top[-1] = is_repair ? replaced : top[-2];
}

static void put_a_used_block_in_a_bin(bool is_repair)
{
    if (is_repair)
        drop_from(bin_of(600));
    else
        push_into(bin_of(600), used);
}

static void put_another_arenas_block_in_a_bin(bool is_repair)
{
    void *payload = theirs[BLOCKS - 1];

    hs_block_set_state(hs_block_of(payload), is_repair ? HS_STATE_USED : HS_STATE_CACHED);
    if (is_repair)
        drop_from(bin_of(600));
    else
        push_into(bin_of(600), payload);
}

/* The checker, which finds it in two places, cannot know which one is right. */
static void put_a_sent_block_in_a_bin(bool is_repair)
{
    void *payload = sent[0]; /* the oldest in the inbox */

    hs_block_set_state(hs_block_of(payload), HS_STATE_SENT);
    if (is_repair)
        drop_from(bin_of(600));
    else
        push_into(bin_of(600), payload);
}

static void leave(struct hs_waiting *waiting, void *payload, unsigned class_index)
{
    unsigned count = hs_load_relaxed(&waiting->count);

    waiting->payloads[count] = payload;
    hs_store_relaxed(&waiting->classes[count], (uint8_t)class_index);
    hs_store_relaxed(&waiting->count, count + 1);
}

static void forget_newest(struct hs_waiting *waiting)
{
    hs_store_relaxed(&waiting->count, hs_load_relaxed(&waiting->count) - 1);
}

/* The newest of the unsorted, once more. */
static void leave_unsorted(void *payload, unsigned class_index)
{
    leave(&hs_cache_self->unsorted, payload, class_index);
}

static void forget_newest_unsorted(void)
{
    forget_newest(&hs_cache_self->unsorted);
}

static unsigned class_of_request(size_t bytes)
{
    return hs_class_for(hs_block_bytes_for(bytes));
}

static void leave_a_block_of_a_bin_unsorted(bool is_repair)
{
    if (is_repair)
        forget_newest_unsorted();
    else
        leave_unsorted(payloads[0], class_of_request(100));
}

static void leave_a_used_block_unsorted(bool is_repair)
{
    if (is_repair)
        forget_newest_unsorted();
    else
        leave_unsorted(used, hs_class_of_block(hs_block_of(used)));
}

/* What is to be sent is not of this arena. */
static void send_an_own_block(bool is_repair)
{
    hs_block_set_state(hs_block_of(used), is_repair ? HS_STATE_USED : HS_STATE_SENT);
    if (is_repair)
        forget_newest(&hs_cache_self->unsent);
    else
        leave(&hs_cache_self->unsent, used, class_of_request(100));
}

static void send_a_block_twice(bool is_repair)
{
    if (is_repair)
        forget_newest(&hs_cache_self->unsent);
    else
        leave(&hs_cache_self->unsent, theirs[0], class_of_request(300));
}

static void C1(void **state)
{
    (void)state;
    expect_complaint(send_an_own_block, "C1");
    expect_complaint(send_a_block_twice, "C1");
    expect_complaint(leave_a_block_of_a_bin_unsorted, "C1");
    expect_complaint(leave_a_used_block_unsorted, "C1");
    expect_complaint(put_in_two_bins, "C1");
    expect_complaint(put_in_a_bin_twice, "C1");
    expect_complaint(put_a_used_block_in_a_bin, "C1");
    expect_complaint(put_another_arenas_block_in_a_bin, "C1");
    expect_complaint(put_a_sent_block_in_a_bin, "C1");
}

static void cache_a_used_block(bool is_repair)
{
    hs_block_set_state(hs_block_of(used), is_repair ? HS_STATE_USED : HS_STATE_CACHED);
}

static void send_a_used_block(bool is_repair)
{
    hs_block_set_state(hs_block_of(used), is_repair ? HS_STATE_USED : HS_STATE_SENT);
}

static void lose_the_newest(bool is_repair)
{
    struct hs_bin *bin = bin_of(100);

    if (!is_repair)
        drop_from(bin);
    else
        hs_store_relaxed(&bin->top, hs_load_relaxed(&bin->top) + 1);
}

/* Out of its bin, unsorted, and then in no place. */
static void lose_what_is_unsorted(bool is_repair)
{
    static void *lost;
    struct hs_bin *bin = bin_of(100);

    if (is_repair) {
        push_into(bin, lost);
        return;
    }
    lost = hs_load_relaxed(&bin->top)[-1];
    drop_from(bin);
    leave_unsorted(lost, class_of_request(100));
    require_sound();
    forget_newest_unsorted();
}

static void lose_what_is_unsent(bool is_repair)
{
    if (is_repair)
        leave(&hs_cache_self->unsent, theirs[HS_WAITING_MOST + UNSENT - 1], class_of_request(300));
    else
        forget_newest(&hs_cache_self->unsent);
}

static void C2(void **state)
{
    (void)state;
    expect_complaint(lose_what_is_unsent, "C2");
    expect_complaint(lose_what_is_unsorted, "C2");
    expect_complaint(cache_a_used_block, "C2");
    expect_complaint(send_a_used_block, "C2");
    expect_complaint(lose_the_newest, "C2");
}

/* ---- C3, B8 ------------------------------------------------------------------------------------------------------ */

static void forget_the_run(bool is_repair)
{
    static struct hs_block *run;

    if (!is_repair)
        run = hs_cache_self->run;
    hs_cache_self->run = is_repair ? run : NULL;
}

static void know_the_run_longer(bool is_repair)
{
    size_t bytes = hs_load_relaxed(&hs_cache_self->run_bytes);

    hs_store_relaxed(&hs_cache_self->run_bytes, is_repair ? bytes - 16 : bytes + 16);
}

static void begin_a_run_in_a_used_block(bool is_repair)
{
    if (is_repair)
        hs_block_set_state(hs_block_of(used), HS_STATE_USED);
    else
        hs_run_begin(hs_block_of(used));
}

static void C3(void **state)
{
    (void)state;
    expect_complaint(forget_the_run, "C3");
    expect_complaint(know_the_run_longer, "C3");
    expect_complaint(begin_a_run_in_a_used_block, "C3");
}

static void set_run_end(bool is_repair, size_t bytes)
{
    _Atomic size_t *word = hs_run_end_word(hs_cache_self->run);
    static size_t saved;

    if (!is_repair)
        saved = hs_load_relaxed(word);
    hs_store_relaxed(word, is_repair ? saved : bytes);
}

static void end_a_run_at_16(bool is_repair)
{
    set_run_end(is_repair, 16);
}

static void end_a_run_askew(bool is_repair)
{
    set_run_end(is_repair, 40);
}

static void end_a_run_beyond(bool is_repair)
{
    set_run_end(is_repair, hs_block_bytes(hs_cache_self->run) + 16);
}

static void end_a_run_nowhere(bool is_repair)
{
    set_run_end(is_repair, SIZE_MAX - 15);
}

static void B8(void **state)
{
    (void)state;
    expect_complaint(end_a_run_at_16, "B8");
    expect_complaint(end_a_run_askew, "B8");
    expect_complaint(end_a_run_beyond, "B8");
    expect_complaint(end_a_run_nowhere, "B8");
}

/* ---- C4, C5 ------------------------------------------------------------------------------------------------------ */

static void overwrite_the_sentinel(bool is_repair)
{
    void **base = hs_load_relaxed(&hs_cache_self->records[hs_class_for(hs_block_bytes_for(100))].base);

    base[-1] = is_repair ? HS_SENTINEL : used;
}

static void pass_the_end_of_a_stack(bool is_repair)
{
    static void **full;
    struct hs_bin *bin = bin_of(100);

    if (!is_repair)
        full = bin->full;
    bin->full = is_repair ? full : hs_load_relaxed(&bin->top) - 1;
}

static void move_to_another_bin(bool is_repair)
{
    struct hs_bin *from = bin_of(is_repair ? 600 : 100), *to = bin_of(is_repair ? 100 : 600);
    void *payload = hs_load_relaxed(&from->top)[-1];

    drop_from(from);
    push_into(to, payload);
}

static void mistake_what_is_unsorted(bool is_repair)
{
    struct hs_bin *bin = bin_of(100);

    if (is_repair) {
        push_into(bin, hs_cache_self->unsorted.payloads[0]);
        forget_newest_unsorted();
        return;
    }
    leave_unsorted(hs_load_relaxed(&bin->top)[-1], class_of_request(600));
    drop_from(bin);
}

static void leave_too_many_unsorted(bool is_repair)
{
    for (unsigned i = 0; i < HS_WAITING_MOST; i++) {
        if (is_repair) {
            forget_newest_unsorted();
            push_into(bin_of(100), hs_cache_self->unsorted.payloads[HS_WAITING_MOST - 1 - i]);
        } else {
            leave_unsorted(hs_load_relaxed(&bin_of(100)->top)[-1], class_of_request(100));
            drop_from(bin_of(100));
        }
    }
}

static void mistake_what_is_unsent(bool is_repair)
{
    hs_store_relaxed(&hs_cache_self->unsent.classes[0], (uint8_t)class_of_request(is_repair ? 300 : 100));
}

static void leave_too_many_unsent(bool is_repair)
{
    hs_store_relaxed(&hs_cache_self->unsent.count, (uint32_t)(is_repair ? UNSENT : HS_WAITING_MOST));
}

static void C4(void **state)
{
    (void)state;
    expect_complaint(mistake_what_is_unsent, "C4");
    expect_complaint(leave_too_many_unsent, "C4");
    expect_complaint(mistake_what_is_unsorted, "C4");
    expect_complaint(leave_too_many_unsorted, "C4");
    expect_complaint(overwrite_the_sentinel, "C4");
    expect_complaint(pass_the_end_of_a_stack, "C4");
    expect_complaint(move_to_another_bin, "C4");
}

/* By one, or back. */
static void miscount(_Atomic uint64_t *count, bool is_repair, uint64_t by)
{
    hs_store_relaxed(count, is_repair ? hs_load_relaxed(count) - by : hs_load_relaxed(count) + by);
}

static void miscount_an_outbox(bool is_repair)
{
    miscount(&outbox()->blocks, is_repair, 1);
}

static void mismeasure_an_outbox(bool is_repair)
{
    miscount(&outbox()->bytes, is_repair, 16);
}

static void miscount_an_inbox(bool is_repair)
{
    miscount(&hs_cache_self->arena->inbox_blocks, is_repair, 1);
}

static void mismeasure_an_inbox(bool is_repair)
{
    miscount(&hs_cache_self->arena->inbox_bytes, is_repair, 16);
}

static void miscount_a_depot(bool is_repair)
{
    miscount(&hs_cache_self->arena->depot->blocks, is_repair, 1);
}

static void cut_an_outbox_short(bool is_repair)
{
    static void *newest;

    if (!is_repair)
        newest = outbox()->newest;
    outbox()->newest = is_repair ? newest : NULL;
}

static void C5(void **state)
{
    (void)state;
    expect_complaint(miscount_an_outbox, "C5");
    expect_complaint(mismeasure_an_outbox, "C5");
    expect_complaint(miscount_an_inbox, "C5");
    expect_complaint(mismeasure_an_inbox, "C5");
    expect_complaint(miscount_a_depot, "C5");
    expect_complaint(cut_an_outbox_short, "C5");
    expect_complaint(cut_an_outbox_short, "C2");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(C1), cmocka_unit_test(C2), cmocka_unit_test(C3),
        cmocka_unit_test(C4), cmocka_unit_test(C5), cmocka_unit_test(B8),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
