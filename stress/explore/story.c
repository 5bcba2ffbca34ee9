#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explored.h"
#include "names.h"
#include "world.h"

static void add(char *text, size_t bytes, const char *more)
{
    size_t length = strlen(text);

    (void)snprintf(text + length, bytes - length, "%s", more);
}

/* ---- operations of the program ----------------------------------------------------------------------------------- */

static const char *say_bare(char kind)
{
    switch (kind) {
    case OP_TRIM:
        return "heapster_trim()";
    case OP_CHECK:
        return "heapster_check()";
    case OP_STATS:
        return "heapster_stats()";
    case OP_EMPTY:
        return "empty the own cache";
    case OP_EXIT:
        return "end of the thread";
    default:
        return "fork()";
    }
}

void story_say_op(const struct op *op, char *text, size_t bytes)
{
    switch (op->kind) {
    case OP_MALLOC:
        (void)snprintf(text, bytes, "slot %u = malloc(%zu)", op->slot, op->bytes);
        break;
    case OP_CALLOC:
        (void)snprintf(text, bytes, "slot %u = calloc(1, %zu)", op->slot, op->bytes);
        break;
    case OP_REALLOC:
        (void)snprintf(text, bytes, "slot %u = realloc(slot %u, %zu)", op->slot, op->slot, op->bytes);
        break;
    case OP_ALIGNED:
        (void)snprintf(text, bytes, "slot %u = aligned_alloc(%zu, %zu)", op->slot, op->alignment, op->bytes);
        break;
    case OP_FREE:
        (void)snprintf(text, bytes, "free(slot %u)", op->slot);
        break;
    case OP_INSPECT:
        (void)snprintf(text, bytes, "inspect slot %u", op->slot);
        break;
    case OP_MANY:
        (void)snprintf(text, bytes, "group %u = %zu times malloc(%zu)", op->slot, op->alignment, op->bytes);
        break;
    case OP_FREE_MANY:
        (void)snprintf(text, bytes, "free(group %u)", op->slot);
        break;
    case OP_FORK_HANDLED:
        (void)snprintf(text, bytes, "fork(), whose handler allocates %zu bytes", op->bytes);
        break;
    case OP_TIME:
        (void)snprintf(text, bytes, "%zu ms pass", op->bytes);
        break;
    case OP_STRATEGY:
        (void)snprintf(text, bytes, "heapster_set_strategy(%zu)", op->bytes);
        break;
    case OP_AS:
        (void)snprintf(text, bytes, "as thread %zu", op->bytes);
        break;
    default:
        (void)snprintf(text, bytes, "%s", say_bare(op->kind));
        break;
    }
}

void story_say_ops(const struct ops *ops, char *text, size_t bytes)
{
    text[0] = '\0';
    for (unsigned i = 0; i < ops->count; i++) {
        char op[STORY_WORDS];

        story_say_op(&ops->list[i], op, sizeof op);
        add(text, bytes, i == 0 ? "" : ", ");
        add(text, bytes, op);
    }
}

/* The text of an event is the operation's in the program, or a remark. */
static void say_call(const struct event *event, char *text, size_t bytes)
{
    static struct program program;
    char whole[sizeof event->text + 1];
    const char *error;

    (void)snprintf(whole, sizeof whole, "/%s", event->text);
    if (program_parse(&program, whole, &error) && program.threads[0].count == 1)
        story_say_op(&program.threads[0].list[0], text, bytes);
    else
        (void)snprintf(text, bytes, "%s", event->text);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

const char *story_operation(enum event_kind kind)
{
    static const char *const operations[EVENT_KINDS] = {
        [EVENT_LOAD] = "load",   [EVENT_STORE] = "store", [EVENT_UPDATE] = "update",  [EVENT_EXCHANGE_FAILED] = "swap",
        [EVENT_FENCE] = "fence", [EVENT_LOCK] = "lock",   [EVENT_TRY_FAILED] = "try", [EVENT_UNLOCK] = "unlock",
        [EVENT_OS] = "os",       [EVENT_YIELD] = "yield", [EVENT_CALL] = "call",      [EVENT_RETURN] = "return",
        [EVENT_END] = "end",     [EVENT_WAIT] = "wait",   [EVENT_FAILED] = "FAILED",
    };

    return operations[kind] != NULL ? operations[kind] : "step";
}

/* The function of the library's operating system that makes the call. */
static void say_os_call(const struct line *line, char *text, size_t bytes)
{
    for (unsigned i = 0; line->place != NULL && i < line->place->frame_count; i++) {
        if (strncmp(line->place->frames[i].function, "hs_os_", 6) == 0) {
            (void)snprintf(text, bytes, "%s", line->place->frames[i].function + 6);
            return;
        }
    }
    (void)snprintf(text, bytes, "call");
}

static void say_return(const struct event *event, struct line *line)
{
    if (event->name != 0) {
        (void)snprintf(line->value, sizeof line->value, "payload at ");
        names_add_offset(event->name, line->value, sizeof line->value);
    } else if (strchr("mcra", event->text[0]) != NULL) {
        (void)snprintf(line->value, sizeof line->value, "NULL");
    }
}

static void say_lock(const struct story *story, const struct event *event, struct line *line)
{
    int holder = uses_find(&story->uses, event)->holder;

    names_add_lock(event->name, line->location, sizeof line->location);
    if (event->kind == EVENT_TRY_FAILED || event->kind == EVENT_WAIT)
        (void)snprintf(line->value, sizeof line->value, "held by thread %d", holder + 1);
}

/* Of two numbers, or of two names of a state. */
static void say_access(const struct event *event, struct line *line)
{
    bool is_tag = line->place != NULL && places_pass_through(line->place, "block.h");
    enum subject subject = names_add_location(event->name, is_tag, line->location, sizeof line->location);

    if (event_writes(event)) {
        names_add_value(subject, event->found, line->value, sizeof line->value);
        add(line->value, sizeof line->value, " -> ");
    }
    names_add_value(subject, event->value, line->value, sizeof line->value);
}

static void say_event(const struct story *story, const struct event *event, struct line *line)
{
    switch (event->kind) {
    case EVENT_CALL:
        say_call(event, line->location, sizeof line->location);
        break;
    case EVENT_RETURN:
        say_call(event, line->location, sizeof line->location);
        say_return(event, line);
        break;
    case EVENT_OS:
        say_os_call(line, line->location, sizeof line->location);
        (void)snprintf(line->value, sizeof line->value, "%s", event->value != 0 ? "fails" : "succeeds");
        break;
    default:
        if (event_is_of_lock(event))
            say_lock(story, event, line);
        else if (event_is_of_atomic(event))
            say_access(event, line);
        break;
    }
}

/* The store before `from` that is the `stale`th before the newest one; NULL: it was there before the threads began. */
static const struct event *find_store(const struct story *story, const struct event *from, unsigned stale)
{
    for (const struct event *event = from; event-- > story->events;)
        if (event_writes(event) && event->name == from->name && stale-- == 0)
            return event;
    return NULL;
}

static void say_store(const struct story *story, const struct event *store, char *text, size_t bytes)
{
    if (store == NULL)
        (void)snprintf(text, bytes, "as it was at the start");
    else
        (void)snprintf(text, bytes, "by thread %u at %zu", store->thread + 1, (size_t)(store - story->events) + 1);
}

static void say_older(const struct story *story, const struct event *event, struct line *line)
{
    const struct event *newest = find_store(story, event, 0);
    bool is_tag = line->place != NULL && places_pass_through(line->place, "block.h");
    char seen[STORY_WORDS], last[STORY_WORDS] = "", value[STORY_WORDS] = "", location[STORY_WORDS] = "";

    say_store(story, find_store(story, event, event->stale), seen, sizeof seen);
    say_store(story, newest, last, sizeof last);
    if (newest != NULL)
        names_add_value(names_add_location(event->name, is_tag, location, sizeof location), newest->value, value,
                        sizeof value);
    (void)snprintf(line->older, sizeof line->older, "OLD, %s; newest: %s, %s", seen, value, last);
}

/* ---- who goes on ------------------------------------------------------------------------------------------------- */

/* Why the thread of the event before the next one does not go on. */
static void say_why(const struct story *story, struct line *line)
{
    const struct event *coming = &story->events[story->next], *last = coming - 1;
    unsigned from = last->thread + 1, to = coming->thread + 1;

    line->is_preemption = coming->preemptions > last->preemptions;
    if (line->is_preemption)
        (void)snprintf(line->why, sizeof line->why, "PREEMPTION %u: thread %u makes way for thread %u",
                       coming->preemptions, from, to);
    else if (last->kind == EVENT_END)
        (void)snprintf(line->why, sizeof line->why, "thread %u has ended", from);
    else if (last->kind == EVENT_YIELD)
        (void)snprintf(line->why, sizeof line->why, "thread %u yields", from);
    else if (last->kind == EVENT_WAIT)
        (void)snprintf(line->why, sizeof line->why, "thread %u waits, thread %u goes on", from, to);
    else
        (void)snprintf(line->why, sizeof line->why, "thread %u goes on", to);
}

/* How many dull ones follow, of one thread. */
static size_t count_dull(const struct story *story)
{
    size_t at = story->next;

    while (at < story->count && story->events[at].thread == story->events[story->next].thread &&
           story->uses.is_dull[at])
        at++;
    return at - story->next;
}

static void note_fold(struct story *story, struct line *line)
{
    size_t length;

    if (story->next < story->folded_up_to)
        return;
    length = count_dull(story);
    if (length < 2)
        return;
    line->folded = (unsigned)length;
    story->folded_up_to = story->next + length;
}

/* The next address in a text, of a race's byte by its name; NULL where there is none. */
static const void *next_address(const char **at)
{
    static const char named[] = "byte ";
    const size_t length = sizeof named - 1;
    const char *hex = strstr(*at, "0x");
    bool is_named = hex != NULL && (size_t)(hex - *at) >= length && strncmp(hex - length, named, length) == 0;
    unsigned long long number;
    char *end;

    if (hex == NULL)
        return NULL;
    number = strtoull(hex, &end, 16);
    *at = end > hex + 1 ? end : hex + 2;
    return is_named ? (const void *)(uintptr_t)world_address(number) : (const void *)(uintptr_t)number;
}

void story_begin(struct story *story, const char *failure)
{
    memset(story, 0, sizeof *story);
    story->events = engine_events(&story->count);
    places_clear();
    for (size_t i = 0; i < story->count; i++)
        places_want(story->events[i].place);
    for (const void *address; (address = next_address(&failure)) != NULL;)
        if (places_is_code(address))
            places_want(address);
    (void)places_find(); /* module and offset serve where it fails */
    names_prepare();
    uses_collect(&story->uses, story->events, story->count);
}

void story_end(struct story *story)
{
    uses_forget(&story->uses);
}

bool story_next(struct story *story, struct line *line)
{
    const struct event *event;

    if (story->next == story->count)
        return false;
    event = &story->events[story->next];
    memset(line, 0, sizeof *line);
    line->thread = event->thread;
    line->kind = event->kind;
    line->operation = story_operation(event->kind);
    line->place = places_get(event->place);
    line->is_switch = story->next > 0 && event[-1].thread != event->thread;
    if (line->is_switch)
        say_why(story, line);
    note_fold(story, line);
    say_event(story, event, line);
    if (event->stale > 0)
        say_older(story, event, line);
    if (event->kind == EVENT_LOCK || event->kind == EVENT_UNLOCK)
        uses_find(&story->uses, event)->holder = event->kind == EVENT_LOCK ? (int)event->thread : -1;
    story->next++;
    return true;
}

/* ---- the failure ------------------------------------------------------------------------------------------------- */

bool story_explain(const char **at, char *text, size_t bytes)
{
    for (const void *address; (address = next_address(at)) != NULL;) {
        const struct place *place = places_get(address);

        if (world_holds(address)) {
            (void)snprintf(text, bytes, "%p: ", address);
            names_add_address(world_name(address), text, bytes);
            return true;
        }
        if (place != NULL) {
            const struct frame *frame = &place->frames[place->telling];

            (void)snprintf(text, bytes, "%p: %s:%u, %s", address, frame->file, frame->line, frame->function);
            return true;
        }
    }
    return false;
}

/* The call that the thread is in; NULL: none. */
static const struct event *call_of(const struct story *story, unsigned thread)
{
    for (size_t i = story->count; i > 0; i--) {
        const struct event *event = &story->events[i - 1];

        if (event->thread != thread || event->text[0] == '(')
            continue;
        if (event->kind == EVENT_RETURN)
            return NULL;
        if (event->kind == EVENT_CALL)
            return event;
    }
    return NULL;
}

bool story_say_thread(const struct story *story, unsigned thread, char *text, size_t bytes)
{
    static const char *const states[] = {"", "could go on", "waits", "has ended", "is not in the child"};
    const struct thread *at = &execution.threads[thread];
    const struct event *call = call_of(story, thread);
    char words[STORY_WORDS] = "";
    int holder;

    if (thread >= execution.thread_count)
        return false;
    (void)snprintf(text, bytes, "thread %u %s", thread + 1, states[at->state]);
    if (at->state == THREAD_WAITING) {
        holder = backend_holder_of(at->waits_for);
        add(text, bytes, " for ");
        names_add_lock(world_name(at->waits_for), text, bytes);
        (void)snprintf(words, sizeof words, ", held by thread %d", holder + 1);
        add(text, bytes, holder >= 0 ? words : ", held by nobody");
    }
    if (call != NULL && at->state != THREAD_ENDED) {
        say_call(call, words, sizeof words);
        add(text, bytes, ", in ");
        add(text, bytes, words);
    }
    return true;
}
