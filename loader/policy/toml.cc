/* SPDX-License-Identifier: MIT */
/*
 * The one C++ file: toml++ behind toml.h.  Nothing of it runs without a manifest, and it has no static objects.
 *
 * Nothing is destroyed: pal-run reads one manifest and keeps it, and destroying tables nested ten thousand deep, which
 * a hostile file may hold, would exhaust the stack.
 */
/* What the parser takes for impossible, a hostile file reaches ("[ =", 3.3.0): pal-run ends in order then. */
extern "C" void toml_fails(void) __attribute__((noreturn));
#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : toml_fails())
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/impl/preprocessor.h> /* defines the other word for it, whatever there was before */
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE toml_fails()
#include <toml++/toml.h>

#include <cstdio>
#include <cstring>
#include <new>

#include "loader/policy/toml.h"

static const unsigned depth_most = 8; /* manifests need 3 */

static bool refuse(toml_error *error, unsigned line, const char *what)
{
    error->line = line;
    std::snprintf(error->what, sizeof error->what, "%s", what);
    return false;
}

static bool convert(const toml::node &node, toml_value &out, unsigned depth, toml_error *error);

static bool convert_string(std::string_view text, const char *&out, unsigned line, toml_error *error)
{
    if (text.find('\0') != text.npos)
        return refuse(error, line, "a string holds a NUL character");
    char *copy = new char[text.size() + 1];
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = 0;
    out = copy;
    return true;
}

static bool convert_table(const toml::table &table, toml_value &out, unsigned depth, toml_error *error)
{
    out.kind = TOML_TABLE;
    out.count = table.size();
    out.items = new toml_value[out.count + 1]();
    size_t i = 0;
    for (auto &&[key, node] : table) {
        toml_value &item = out.items[i++];
        if (!convert(node, item, depth + 1, error))
            return false;
        if (key.source().begin.line)
            item.line = key.source().begin.line;
        if (!convert_string(key.str(), item.key, item.line, error))
            return false;
    }
    return true;
}

static bool convert_array(const toml::array &array, toml_value &out, unsigned depth, toml_error *error)
{
    out.kind = TOML_ARRAY;
    out.count = array.size();
    out.items = new toml_value[out.count + 1]();
    size_t i = 0;
    for (auto &&node : array)
        if (!convert(node, out.items[i++], depth + 1, error))
            return false;
    return true;
}

static bool convert(const toml::node &node, toml_value &out, unsigned depth, toml_error *error)
{
    out.line = node.source().begin.line;
    if (depth > depth_most)
        return refuse(error, out.line, "values are nested too deeply");
    if (auto table = node.as_table())
        return convert_table(*table, out, depth, error);
    if (auto array = node.as_array())
        return convert_array(*array, out, depth, error);
    out.kind = TOML_OTHER;
    if (auto text = node.as_string()) {
        out.kind = TOML_STRING;
        return convert_string(text->get(), out.string, out.line, error);
    }
    if (auto integer = node.as_integer()) {
        out.kind = TOML_INTEGER;
        out.integer = integer->get();
    } else if (auto boolean = node.as_boolean()) {
        out.kind = TOML_BOOLEAN;
        out.integer = boolean->get();
    }
    return true;
}

const toml_value *toml_parse_text(const char *text, size_t size, toml_error *error)
{
    auto *result = new toml::parse_result(toml::parse(std::string_view(text, size)));
    if (!*result) {
        std::string_view what = result->error().description();
        error->line = result->error().source().begin.line;
        std::snprintf(error->what, sizeof error->what, "%.*s", static_cast<int>(what.size()), what.data());
        return nullptr;
    }
    auto *root = new toml_value();
    // cppcheck-suppress memleak ; kept for good
    return convert(result->table(), *root, 0, error) ? root : nullptr;
}
