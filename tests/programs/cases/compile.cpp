// What the compilers are given: enough templates and standard library to keep one busy for a second.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace
{
template <std::size_t N> struct fibonacci {
    static constexpr unsigned long value = fibonacci<N - 1>::value + fibonacci<N - 2>::value;
};
template <> struct fibonacci<1> {
    static constexpr unsigned long value = 1;
};
template <> struct fibonacci<0> {
    static constexpr unsigned long value = 0;
};

template <std::size_t... I> auto make_table(std::index_sequence<I...>)
{
    return std::vector<unsigned long>{fibonacci<I % 64>::value...};
}

using value = std::variant<int, double, std::string, std::vector<std::string>>;

struct describe {
    std::string operator()(int number) const
    {
        return std::to_string(number);
    }
    std::string operator()(double number) const
    {
        return std::to_string(number);
    }
    std::string operator()(const std::string &text) const
    {
        return text;
    }
    std::string operator()(const std::vector<std::string> &texts) const
    {
        return std::accumulate(texts.begin(), texts.end(), std::string());
    }
};
} // namespace

std::string run(const std::map<std::string, value> &values)
{
    std::unordered_map<std::string, std::shared_ptr<std::function<std::string()>>> calls;
    std::string result;

    for (const auto &each : values)
        calls[each.first] =
            std::make_shared<std::function<std::string()>>([&each] { return std::visit(describe{}, each.second); });
    auto table = make_table(std::make_index_sequence<400>());
    std::sort(table.begin(), table.end(), std::greater<>());
    for (auto number : table)
        result += std::to_string(number);
    for (auto &[key, call] : calls)
        result += key + (*call)();
    return result;
}
