// Every way C++ has to allocate: each operator new and delete, exceptions from threads, containers, and memory that
// is not to be had. Prints what it did; any wrong answer ends it with status 1.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{
void expect(bool holds, const char *what)
{
    std::cout << what << (holds ? ": yes" : ": NO") << std::endl;
    if (!holds)
        std::exit(1);
}

bool is_aligned(const void *pointer, std::size_t alignment)
{
    return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0;
}

// The compiler must neither see through the size nor leave the pair of new and delete out.
std::size_t opaque(std::size_t bytes)
{
    static volatile std::size_t kept;
    kept = bytes;
    return kept;
}

struct counted {
    static std::atomic<int> alive;
    std::string text;
    explicit counted(std::string with = "counted") : text(std::move(with))
    {
        alive++;
    }
    counted(const counted &) = delete;
    counted &operator=(const counted &) = delete;
    ~counted()
    {
        alive--;
    }
};
std::atomic<int> counted::alive{0};

struct alignas(256) wide {
    char bytes[300];
};

void plain_and_array()
{
    auto *one = new counted("one");
    auto *many = new counted[1000];

    expect(counted::alive == 1001, "new and new[] constructed all");
    delete one;
    delete[] many;
    expect(counted::alive == 0, "delete and delete[] destroyed all");

    void *nothing = ::operator new(opaque(0)), *other = ::operator new(opaque(0));
    expect(nothing != nullptr && nothing != other, "new of 0 bytes is distinct");
    ::operator delete(nothing);
    ::operator delete(other);
    ::operator delete(nullptr);
}

void huge()
{
    const std::size_t bytes = opaque(std::numeric_limits<std::size_t>::max() / 2 - 4096);
    bool thrown = false;

    expect(::operator new(bytes, std::nothrow) == nullptr, "nothrow new of a huge size is null");
    expect(::operator new[](bytes, std::nothrow) == nullptr, "nothrow new[] of a huge size is null");
    try {
        ::operator delete(::operator new(bytes));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    expect(thrown, "new of a huge size throws bad_alloc");
    thrown = false;
    try {
        std::vector<char>(bytes).clear();
    } catch (const std::exception &) {
        thrown = true;
    }
    expect(thrown, "a huge vector throws");
}

void handler_is_asked()
{
    static int asked;
    asked = 0;
    std::set_new_handler([] {
        if (++asked == 3)
            std::set_new_handler(nullptr);
    });
    void *nothing = ::operator new(opaque(std::numeric_limits<std::size_t>::max() / 2), std::nothrow);
    expect(nothing == nullptr && asked == 3, "the new handler is asked until it is gone");
}

void aligned()
{
    for (std::size_t alignment = 16; alignment <= 65536; alignment *= 2) {
        void *single = ::operator new(opaque(alignment + 1), std::align_val_t(alignment));
        void *array = ::operator new[](opaque(24), std::align_val_t(alignment), std::nothrow);
        if (!is_aligned(single, alignment) || !is_aligned(array, alignment))
            expect(false, "aligned new is aligned");
        ::operator delete(single, alignment + 1, std::align_val_t(alignment));
        ::operator delete[](array, std::align_val_t(alignment));
    }
    auto *one = new wide;
    std::vector<wide> several(9);
    expect(is_aligned(one, 256) && is_aligned(several.data(), 256), "over-aligned types are aligned");
    delete one;
}

void sized()
{
    for (std::size_t bytes = 1; bytes < 300000; bytes += bytes / 3 + 1) {
        ::operator delete(::operator new(opaque(bytes)), bytes);
        ::operator delete[](::operator new[](opaque(bytes)), bytes);
    }
    expect(true, "sized delete");
}

long work(int number)
{
    std::map<int, std::unique_ptr<counted>> kept;
    long caught = 0;

    for (int i = 0; i < 4000; i++) {
        kept[i * 31 % 257] = std::make_unique<counted>(std::string(static_cast<std::size_t>(i % 90), 'x'));
        try {
            std::vector<std::string> lost(static_cast<std::size_t>(i % 7), "lost while the stack unwinds");
            if (i % 3 == number % 3)
                throw std::runtime_error(std::string(static_cast<std::size_t>(i % 50), '!'));
        } catch (const std::runtime_error &error) {
            caught += static_cast<long>(std::string(error.what()).size());
        }
    }
    return caught;
}

void threads()
{
    std::vector<long> caught(8);
    std::vector<std::exception_ptr> escaped(8);
    std::vector<std::thread> running;

    for (int number = 0; number < 8; number++)
        running.emplace_back([number, &caught, &escaped] {
            try {
                caught[static_cast<std::size_t>(number)] = work(number);
                throw std::logic_error("from thread " + std::to_string(number));
            } catch (...) {
                escaped[static_cast<std::size_t>(number)] = std::current_exception();
            }
        });
    for (auto &thread : running)
        thread.join();
    std::cout << "caught " << std::accumulate(caught.begin(), caught.end(), 0L) << std::endl;
    for (auto &exception : escaped) {
        try {
            std::rethrow_exception(exception);
        } catch (const std::logic_error &error) {
            std::cout << error.what() << std::endl;
        }
    }
    expect(counted::alive == 0, "all that threads made is destroyed");
}
} // namespace

int main()
{
    plain_and_array();
    huge();
    handler_is_asked();
    aligned();
    sized();
    threads();
}
