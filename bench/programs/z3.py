"""Prints a problem for z3: a bounded puzzle of sums over bit-vectors and integers, with quantifier-free arrays.

usage: z3.py COUNT
"""
import sys


def pigeons(holes):
    """One pigeon more than there are holes: unsatisfiable, and found so by search only."""
    names = {(p, h): f"in_{p}_{h}" for p in range(holes + 1) for h in range(holes)}
    for name in names.values():
        print(f"(declare-const {name} Bool)")
    for pigeon in range(holes + 1):
        print("(assert (or " + " ".join(names[pigeon, hole] for hole in range(holes)) + "))")
    for hole in range(holes):
        for left in range(holes + 1):
            for right in range(left):
                print(f"(assert (not (and {names[left, hole]} {names[right, hole]})))")


def chain(length):
    """Stores into an array, and a value that has to come out of them."""
    print("(declare-const memory0 (Array Int Int))")
    for i in range(length):
        print(f"(declare-const place{i} Int)")
        print(f"(declare-const memory{i + 1} (Array Int Int))")
        print(f"(assert (= memory{i + 1} (store memory{i} place{i} (+ {i} (select memory{i} {i % 7})))))")
        print(f"(assert (and (>= place{i} 0) (< place{i} {length})))")
    print(f"(assert (> (select memory{length} 3) {length}))")


def factors(bits):
    print(f"(declare-const a (_ BitVec {bits}))\n(declare-const b (_ BitVec {bits}))")
    print(f"(assert (= (bvmul a b) (_ bv{(1 << bits) // 3 * 2 + 1} {bits})))")
    print(f"(assert (and (bvugt a (_ bv3 {bits})) (bvugt b a)))")


def main(count):
    for problem, size in ((pigeons, count // 4 + 2), (chain, count), (factors, count)):
        print("(push)")
        problem(size)
        print("(check-sat)\n(pop)")


if __name__ == "__main__":
    main(int(sys.argv[1]))
