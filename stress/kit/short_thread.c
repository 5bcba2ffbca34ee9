#include "short_thread.h"

#include "pages.h"
#include "violation.h"

/* Enough for what a sanitizer puts there. */
#define STACK_BYTES ((size_t)1 << 20)

/* Handed to the new thread at the foot of its own stack, where nothing else gets. */
struct errand {
    struct kit_thread *part;
    void (*body)(struct kit_thread *part);
};

static void *run_errand(void *argument)
{
    struct errand *errand = argument;

    kit_self = errand->part;
    errand->body(errand->part);
    return NULL;
}

void kit_short_start(struct kit_short_thread *short_thread, struct kit_thread *part,
                     void (*body)(struct kit_thread *part))
{
    pthread_attr_t attributes;
    struct errand *errand;
    int failure;

    short_thread->stack = kit_pages_map(STACK_BYTES);
    errand = short_thread->stack;
    *errand = (struct errand){part, body};
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstack(&attributes, short_thread->stack, STACK_BYTES);
    failure = pthread_create(&short_thread->handle, &attributes, run_errand, errand);
    (void)pthread_attr_destroy(&attributes);
    if (failure != 0)
        kit_violation(NULL, NULL, "setup", "no short thread, error %d", failure);
}

bool kit_short_join(struct kit_short_thread *short_thread)
{
    void *result;

    if (pthread_join(short_thread->handle, &result) != 0)
        kit_violation(NULL, NULL, "setup", "a short thread cannot be joined");
    kit_pages_unmap(short_thread->stack, STACK_BYTES);
    return result != PTHREAD_CANCELED;
}
