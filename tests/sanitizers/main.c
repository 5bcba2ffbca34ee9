#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

size_t unforeseen(size_t number)
{
    volatile size_t hidden = number;

    return hidden;
}

void decide_by(const char *byte)
{
    if (*(const volatile char *)byte == 1) /* decision */
        (void)putchar('1');
}

void require(int condition, const char *text)
{
    if (condition)
        return;
    (void)fprintf(stderr, "not as it should be: %s\n", text);
    exit(EXIT_FAILURE);
}

static const struct fault_case *find(const struct fault_case *cases, const char *name)
{
    while (cases->name != NULL && strcmp(cases->name, name) != 0)
        cases++;
    return cases->name != NULL ? cases : NULL;
}

static void run_body(const char *name)
{
    const struct fault_case *const lists[] = {block_cases, arena_cases, thread_cases};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const struct fault_case *found = find(lists[i], name);

        if (found != NULL) {
            found->body();
            exit(EXIT_SUCCESS);
        }
    }
    require(0, "a case of this name");
}

/* Each case in a process of its own, between two lines that say which it is and how it ended. */
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        pid_t child;
        int status = 0;

        (void)fprintf(stderr, "case: %s\n", argv[i]);
        child = fork();
        if (child == 0)
            run_body(argv[i]);
        require(child > 0 && waitpid(child, &status, 0) == child, "a process for it");
        (void)fprintf(stderr, "status: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    }
    return EXIT_SUCCESS;
}
