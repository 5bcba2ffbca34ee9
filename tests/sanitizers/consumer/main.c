/* Somebody else's program: main FAULT. The line that a tool has to name ends in the fault's name. */
#include <heapster.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile size_t size = 24;

static void right(void)
{
    char *text = heapster_calloc(1, size);

    text[0] = 'r';
    (void)puts(text);
    heapster_free(text);
}

static void overflow(void)
{
    char *text = heapster_malloc(size);

    text[size] = 'o'; /* overflow */
    heapster_free(text);
}

/* Through the standard name, which is Heapster's where it has them. */
static void overflow_of_malloc(void)
{
    char *text = malloc(size);

    text[size] = 'o'; /* overflow_of_malloc */
    free(text);
}

static void use_after_free(void)
{
    char *text = heapster_malloc(size);

    heapster_free(text);
    *(volatile char *)(text + 16) = 'u'; /* use_after_free */
}

static void uninitialised(void)
{
    const char *text = heapster_malloc(size);

    if (text[1] == 1) /* uninitialised */
        (void)puts("1");
    heapster_free((void *)text);
}

static void *increment(void *number)
{
    ++*(int *)number; /* race */
    return NULL;
}

static void race(void)
{
    int *number = heapster_calloc(1, sizeof *number);
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        (void)pthread_create(&threads[i], NULL, increment, number);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    heapster_free(number);
}

static void undefined(void)
{
    int *number = heapster_malloc(sizeof *number);

    *number = INT_MAX;
    ++*number; /* undefined */
    heapster_free(number);
}

static void leak(void)
{
    char *volatile text = heapster_malloc(size); /* leak */

    text[0] = 'l';
    text = NULL;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } faults[] = {
        {"right", right},
        {"overflow", overflow},
        {"overflow_of_malloc", overflow_of_malloc},
        {"use_after_free", use_after_free},
        {"uninitialised", uninitialised},
        {"race", race},
        {"undefined", undefined},
        {"leak", leak},
    };

    for (size_t i = 0; argc == 2 && i < sizeof faults / sizeof faults[0]; i++)
        if (strcmp(argv[1], faults[i].name) == 0) {
            faults[i].run();
            return 0;
        }
    return 2;
}
