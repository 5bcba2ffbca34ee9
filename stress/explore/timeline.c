#include "timeline.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "story.h"

enum { NUMBER_COLUMNS = 6, THREAD_COLUMNS_MOST = 60, GAP = 2, OPERATION_COLUMNS = 7, TEXT_BYTES = 2048 };

/* How wide things are, of the page that is being printed. */
static struct {
    int thread, place, whole;
} columns;

static void lay_out(int width, unsigned thread_count)
{
    columns.place = width >= 130 ? 44 : 22;
    columns.thread = (width - NUMBER_COLUMNS - columns.place) / (int)thread_count;
    if (columns.thread > THREAD_COLUMNS_MOST)
        columns.thread = THREAD_COLUMNS_MOST;
    columns.whole = NUMBER_COLUMNS + columns.thread * (int)thread_count + columns.place;
}

int timeline_width(FILE *out)
{
    struct winsize size;

    if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return WIDTH_DEFAULT;
    return size.ws_col > WIDTH_LEAST ? size.ws_col : WIDTH_LEAST;
}

bool timeline_parse_steps(const char *name, enum steps *steps)
{
    static const char *const names[] = {"none", "shared", "all", "raw"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *steps = (enum steps)i;
            return true;
        }
    }
    return false;
}

/* How much of the text fits, up to the end of a word where there is one. */
static int fitting(const char *text, int room)
{
    int length = (int)strlen(text), end = room;

    if (length <= room)
        return length;
    while (end > room / 2 && text[end] != ' ')
        end--;
    return text[end] == ' ' ? end : room;
}

static void print_spaces(FILE *out, int count)
{
    (void)fprintf(out, "%*s", count, "");
}

/* In the thread's column, on as many lines as it takes; `place` stands beside the first. */
static void print_in_column(FILE *out, const struct program *program, size_t number, unsigned thread, const char *text,
                            const char *place)
{
    int indent = 0, next_indent = columns.thread >= 24 ? OPERATION_COLUMNS : 1;

    (void)fprintf(out, "%5zu ", number);
    for (;;) {
        int length = fitting(text, columns.thread - GAP - indent);

        print_spaces(out, (int)thread * columns.thread + indent);
        (void)fprintf(out, "%.*s", length, text);
        if (indent == 0 && place[0] != '\0') {
            print_spaces(out, columns.thread * ((int)program->thread_count - (int)thread) - length);
            (void)fprintf(out, "%.*s", columns.place, place);
        }
        (void)fputc('\n', out);
        text += length;
        text += strspn(text, " ");
        if (*text == '\0')
            return;
        indent = next_indent;
        print_spaces(out, NUMBER_COLUMNS);
    }
}

static void print_rule(FILE *out, char mark, const char *text)
{
    const char begin[] = {mark, mark, mark, mark, mark, mark, '\0'};
    int length = text[0] != '\0' ? fprintf(out, "%s %s ", begin, text) : 0;

    for (; length < columns.whole; length++)
        (void)fputc(mark, out);
    (void)fputc('\n', out);
}

static void print_head(FILE *out, const struct program *program)
{
    char text[TEXT_BYTES];

    program_print(program, text, sizeof text);
    (void)fprintf(out, "program  %s\n", text);
    story_say_ops(&program->set_up, text, sizeof text);
    if (text[0] != '\0')
        (void)fprintf(out, "before   %s\n", text);
    for (unsigned i = 0; i < program->thread_count; i++) {
        story_say_ops(&program->threads[i], text, sizeof text);
        (void)fprintf(out, "thread %u %s\n", i + 1, text);
    }
    (void)fputc('\n', out);
    print_spaces(out, NUMBER_COLUMNS);
    for (unsigned i = 0; i < program->thread_count; i++)
        (void)fprintf(out, "thread %-*u", columns.thread - (int)strlen("thread "), i + 1);
    (void)fputs("source\n", out);
    print_rule(out, '=', "");
}

static void say_place(const struct line *line, char *text, size_t bytes)
{
    const struct frame *frame;

    text[0] = '\0';
    if (line->place == NULL)
        return;
    frame = &line->place->frames[line->place->telling];
    if (frame->line == 0)
        (void)snprintf(text, bytes, "%s %s", frame->file, frame->function);
    else
        (void)snprintf(text, bytes, "%s:%u %s", frame->file, frame->line, frame->function);
    /* Rather no function than half of its name. */
    if (strlen(text) > (size_t)columns.place)
        text[strcspn(text, " ")] = '\0';
}

static void say_line(const struct line *line, char *text, size_t bytes)
{
    const char *older = line->older[0] != '\0' ? "; " : "";

    switch (line->kind) {
    case EVENT_CALL:
        (void)snprintf(text, bytes, "[ %s", line->location);
        break;
    case EVENT_RETURN:
        (void)snprintf(text, bytes, "] %s%s%s", line->location, line->value[0] != '\0' ? ": " : "", line->value);
        break;
    case EVENT_END:
        (void)snprintf(text, bytes, "end of thread %u", line->thread + 1);
        break;
    case EVENT_FAILED:
        (void)snprintf(text, bytes, "FAILED, as said below");
        break;
    case EVENT_EXCHANGE_FAILED:
        (void)snprintf(text, bytes, "%-6s %s: not done, is %s", line->operation, line->location, line->value);
        break;
    case EVENT_OS:
    case EVENT_TRY_FAILED:
    case EVENT_WAIT:
        (void)snprintf(text, bytes, "%-6s %s: %s", line->operation, line->location, line->value);
        break;
    default:
        (void)snprintf(text, bytes, "%-6s %s%s%s%s%s", line->operation, line->location,
                       line->value[0] != '\0' ? " = " : "", line->value, older, line->older);
        break;
    }
}

static void print_line(FILE *out, const struct program *program, size_t number, const struct line *line)
{
    char text[TEXT_BYTES], place[TEXT_BYTES];

    say_line(line, text, sizeof text);
    say_place(line, place, sizeof place);
    print_in_column(out, program, number, line->thread, text, place);
}

static void print_tail(FILE *out, const struct story *story, const char *failure)
{
    char text[TEXT_BYTES];
    const char *at = failure;

    print_rule(out, '=', "");
    (void)fprintf(out, "%s%s\n", failure[0] != '\0' ? "FAILED: " : "no failure", failure);
    while (story_explain(&at, text, sizeof text))
        (void)fprintf(out, "  %s\n", text);
    for (unsigned i = 0; failure[0] != '\0' && story_say_thread(story, i, text, sizeof text); i++)
        (void)fprintf(out, "  %s\n", text);
}

static void print_events(FILE *out)
{
    size_t count;
    const struct event *events = engine_events(&count);

    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, "%s %u %#" PRIx64 " %#" PRIx64 " %#" PRIx64 " %u %u %s\n", story_operation(events[i].kind),
                      events[i].thread, events[i].name, events[i].value, events[i].found, events[i].stale,
                      events[i].preemptions, events[i].text);
}

void timeline_print(FILE *out, int width, enum steps steps, const struct program *program, const char *failure)
{
    static struct story story;
    struct line line;
    unsigned hidden = 0;

    if (steps == STEPS_NONE)
        return;
    if (steps == STEPS_RAW) {
        print_events(out);
        return;
    }
    lay_out(width, program->thread_count);
    story_begin(&story, failure);
    print_head(out, program);
    for (size_t number = 1; story_next(&story, &line); number++) {
        char text[STORY_WORDS];

        if (line.is_switch)
            print_rule(out, '-', line.why);
        if (steps == STEPS_SHARED && line.folded > 0) {
            hidden = line.folded;
            (void)snprintf(text, sizeof text, "... %u steps", line.folded);
            print_in_column(out, program, number, line.thread, text, "");
        }
        if (hidden > 0)
            hidden--;
        else
            print_line(out, program, number, &line);
    }
    print_tail(out, &story, failure);
    story_end(&story);
}
