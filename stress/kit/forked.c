#include "forked.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler.h"
#include "violation.h"

bool kit_forked_is_sound(const struct kit_allocator *allocator)
{
    return allocator->is_heapster || !HS_HAS_SHADOW;
}

void kit_forked_check(struct kit_thread *thread)
{
    const struct kit_allocator *allocator = thread->run->allocator;
    struct kit_text findings = {.length = 0};

    if (allocator->check == NULL)
        return;
    kit_doing(thread, KIT_CHECK, 0);
    allocator->check(allocator->context, true, &findings);
    if (findings.length != 0)
        kit_violation(NULL, NULL, "heap of a child", "\n%.*s", (int)findings.length, findings.bytes);
}

void kit_forked_work(struct kit_thread *thread, const struct kit_mix *mix, const struct kit_allocator *allocator,
                     unsigned steps)
{
    for (unsigned i = 0; i < steps; i++)
        kit_mix_step(thread, mix, allocator);
    for (unsigned i = 0; i < thread->block_count; i++)
        if (kit_block_is_live(thread->blocks[i]))
            kit_mix_release(thread, thread->blocks[i]);
}

int kit_forked_wait(pid_t child, const char *what)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            kit_violation(NULL, NULL, "child", "%s is not to be waited for, errno %d", what, errno);
    return status;
}

void kit_forked_expect_success(pid_t child, const char *what)
{
    int status = kit_forked_wait(child, what);

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        kit_violation(NULL, NULL, "hang", "%s did not come to its end in time", what);
    if (WIFSIGNALED(status))
        kit_violation(NULL, NULL, "child", "%s was ended by signal %d", what, WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        kit_violation(NULL, NULL, "child", "%s ended with status %d", what, WEXITSTATUS(status));
}

void kit_forked_run(struct kit_thread *thread, void (*live)(struct kit_thread *thread))
{
    pid_t child;

    kit_doing(thread, KIT_FORK, 0);
    child = fork();
    if (child == 0) {
        /* Nobody watches a child for hangs; and it is to end with the thread that waits for it. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm((thread->run->config->hang_seconds + 1) / 2);
        live(thread);
        _exit(0);
    }
    if (child < 0)
        kit_violation(NULL, NULL, "setup", "no child, errno %d", errno);
    kit_forked_expect_success(child, "a child");
}
