// Work for a C++ compiler: containers, algorithms and templates of the standard library, instantiated COUNT times.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

template <int N> struct record {
    std::string name;
    std::array<int, N + 1> values;
    std::variant<int, std::string, std::vector<record<N>>> more;
    bool operator<(const record &other) const { return std::tie(name, values) < std::tie(other.name, other.values); }
};

template <int N> std::size_t work(const std::vector<std::string> &names)
{
    std::map<std::string, std::unique_ptr<record<N>>> by_name;
    std::unordered_map<int, std::vector<record<N>>> by_number;

    for (const auto &name : names) {
        by_name.emplace(name, std::make_unique<record<N>>());
        by_number[static_cast<int>(name.size()) % (N + 1)].push_back({name, {}, N});
    }
    std::function<bool(const record<N> &, const record<N> &)> order = [](const auto &left, const auto &right) {
        return right < left;
    };
    for (auto &entry : by_number)
        std::stable_sort(entry.second.begin(), entry.second.end(), order);
    return by_name.size() + by_number.size();
}

template <int... N> std::size_t all(const std::vector<std::string> &names, std::integer_sequence<int, N...>)
{
    return (std::size_t{0} + ... + work<N>(names));
}

std::size_t everything(const std::vector<std::string> &names)
{
    return all(names, std::make_integer_sequence<int, COUNT>());
}
