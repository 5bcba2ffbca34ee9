#include "emit.h"

void emit_head(FILE *out, const char *note)
{
    (void)fprintf(out,
                  "/* With any malloc:   cc reproduce.c && ./a.out\n"
                  " * with Heapster:     cc -DWITH_HEAPSTER -I include reproduce.c libheapster.a -pthread && ./a.out\n"
                  " *\n"
                  " * It ends with status 0 if nothing is wrong. HEAPSTER_OPTIONS are the following, unless the\n"
                  " * environment has others.%s%s */\n"
                  "#define OPTIONS \"",
                  note != NULL ? "\n *\n * " : "", note != NULL ? note : "");
}

void emit_text(FILE *out, unsigned sources, size_t buffer_bytes)
{
    (void)fprintf(out, "\"\n#define BUFFER_BYTES %zuU\n", buffer_bytes);
    (void)fprintf(out, "#define SOURCES {%u, %u, %u, %u} /* buffer, small buffer, hooks, OS */\n\n", sources & 3U,
                  sources >> 2 & 3U, sources >> 4 & 3U, sources >> 6 & 3U);
    (void)fprintf(out, "%s\n", emit_calls);
}
