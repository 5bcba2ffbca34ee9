"""Work of many small objects for python3: parsing, dictionaries, strings, classes, sorting. Prints a digest.

usage: python.py COUNT
"""
import hashlib
import json
import re
import sys


class Node:
    def __init__(self, name, weight, children):
        self.name = name
        self.weight = weight
        self.children = children

    def total(self):
        return self.weight + sum(child.total() for child in self.children)


def tree(depth, seed):
    seed = seed * 1103515245 + 12345 & 0x7fffffff
    children = [tree(depth - 1, seed + i) for i in range(3)] if depth else []
    return Node(f"node-{seed}", seed % 97, children)


def words(count):
    state = 1
    for _ in range(count):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        yield f"w{state >> 50:x}"


def main(count):
    digest = hashlib.sha256()
    text = " ".join(words(count * 20))
    counts = {}
    for word in re.findall(r"\w+", text):
        counts.setdefault(word, []).append(len(counts))
    records = [{"word": word, "places": places, "name": word.upper() * 3} for word, places in sorted(counts.items())]
    for _ in range(3):
        records = json.loads(json.dumps(records))
    digest.update(json.dumps(records).encode())
    for seed in range(count // 200):
        digest.update(str(tree(6, seed).total()).encode())
    rows = [tuple(text[i:i + 40].split()) for i in range(0, len(text), 40)]
    rows.sort(key=lambda row: row[::-1])
    digest.update("\n".join(",".join(row) for row in rows).encode())
    print(digest.hexdigest())


if __name__ == "__main__":
    main(int(sys.argv[1]))
