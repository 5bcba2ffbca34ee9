/*
 * trees: many binary trees of different depths, built, walked and freed, while one of them lives on. (After the binary
 * trees of Ellis, Kovac and Boehm, GCBench.)
 */
#include "workload.h"

enum { LEAST_DEPTH = 4, MOST_DEPTH = 16, STEP = 2, LASTING_DEPTH = 16 };

struct node {
    struct node *left, *right;
    uint64_t number;
};

static struct node *make_node(struct bench_worker *worker, struct node *left, struct node *right)
{
    struct node *node = bench_malloc(worker, sizeof *node);

    *node = (struct node){left, right, worker->operations++};
    return node;
}

static int64_t tree_bytes(unsigned depth)
{
    return (int64_t)((((uint64_t)2 << depth) - 1) * sizeof(struct node));
}

/* Each leaf joins the finished subtrees of its own height and then of each greater one, like a carry in counting. */
static struct node *make_tree(struct bench_worker *worker, unsigned depth)
{
    struct node *finished[MOST_DEPTH + 1], *node = NULL;

    for (uint64_t leaf = 0; leaf < (uint64_t)1 << depth; leaf++) {
        unsigned height = 0;

        node = make_node(worker, NULL, NULL);
        for (; (leaf >> height & 1) != 0; height++)
            node = make_node(worker, finished[height], node);
        finished[height] = node;
    }
    bench_count(worker, tree_bytes(depth));
    bench_settle(worker);
    return node;
}

static void free_tree(struct bench_worker *worker, struct node *root, unsigned depth)
{
    struct node *waiting[MOST_DEPTH + 2];
    unsigned count = 1;

    waiting[0] = root;
    while (count > 0) {
        struct node *node = waiting[--count];

        if (node->left != NULL) {
            waiting[count++] = node->right;
            waiting[count++] = node->left;
        }
        bench_free(worker, node);
    }
    bench_count(worker, -tree_bytes(depth));
}

static void work(struct bench_worker *worker)
{
    struct node *lasting;
    unsigned depth = LEAST_DEPTH, lasting_depth = LASTING_DEPTH;

    while (lasting_depth > LEAST_DEPTH && ((uint64_t)2 << lasting_depth) > worker->quota / 4)
        lasting_depth--;
    lasting = make_tree(worker, lasting_depth);
    while (worker->operations < worker->quota) {
        free_tree(worker, make_tree(worker, depth), depth);
        depth = depth + STEP <= lasting_depth ? depth + STEP : LEAST_DEPTH;
    }
    free_tree(worker, lasting, lasting_depth);
}

const struct bench_workload BENCH_EXPORT(trees) = {
    .name = "trees",
    .description = "binary trees of depth 4 to 16, built and freed, one lives on; an operation is a node of 24 bytes",
    .operations = 16000000,
    .threads = {1, 2, 8, 64},
    .work = work,
};
