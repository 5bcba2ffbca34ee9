-- Work of many tables and strings for Lua: a word index, trees that are built and dropped, strings joined. Prints sums.
--
-- usage: lua.lua COUNT
local count = tonumber(arg[1])
local state = 1

local function random(limit)
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return (state >> 8) % limit
end

local function build(depth)
    if depth == 0 then
        return {weight = random(100)}
    end
    return {left = build(depth - 1), right = build(depth - 1), name = "n" .. random(10000)}
end

local function weigh(tree)
    if tree.left == nil then
        return tree.weight
    end
    return weigh(tree.left) + weigh(tree.right) + #tree.name
end

local index, keys = {}, {}
for i = 1, count * 20 do
    local word = string.format("word-%x-%d", random(count), random(7))
    local places = index[word]
    if places == nil then
        places = {}
        index[word] = places
        keys[#keys + 1] = word
    end
    places[#places + 1] = i
end
table.sort(keys)
local lines = {}
for i, word in ipairs(keys) do
    lines[i] = word:upper() .. ":" .. table.concat(index[word], ",")
end
local text, sum = table.concat(lines, "\n"), 0
for number in text:gmatch("%d+") do
    sum = (sum + tonumber(number)) & 0xffffffff
end
for _ = 1, count // 100 do
    sum = (sum + weigh(build(11))) & 0xffffffff
end
print(#text, sum)
