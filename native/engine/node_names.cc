#include "engine/node_names.h"

namespace node_names {
namespace {

constexpr std::string_view BLOCK        = "blk.";
constexpr std::string_view BLOCK_OUTPUT = "l_out-";
constexpr std::string_view LORA_A       = ".lora_a";
constexpr std::string_view LORA_B       = ".lora_b";

constexpr size_t MAX_DIGITS = 6;

bool begins_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// A number as llama.cpp prints it, in decimal digits without leading zeros; -1 for anything else.
int parse_number(std::string_view digits) {
    if (digits.empty() || digits.size() > MAX_DIGITS || (digits.size() > 1 && digits[0] == '0')) return -1;
    int number = 0;
    for (char digit : digits) {
        if (digit < '0' || digit > '9') return -1;
        number = number * 10 + (digit - '0');
    }
    return number;
}

} // namespace

std::string spell_block_weight(int layer, std::string_view part) {
    return std::string(BLOCK) + std::to_string(layer) + "." + std::string(part);
}

std::optional<block_weight> parse_block_weight(std::string_view name) {
    if (!begins_with(name, BLOCK)) return std::nullopt;
    const std::string_view rest = name.substr(BLOCK.size());
    const size_t dot = rest.find('.');
    if (dot == std::string_view::npos || dot + 1 == rest.size()) return std::nullopt;
    const int layer = parse_number(rest.substr(0, dot));
    if (layer < 0) return std::nullopt;
    return block_weight{layer, rest.substr(dot + 1)};
}

bool is_norm_weight(std::string_view name) { return name.find("norm") != std::string_view::npos; }

bool is_mlp_weight(std::string_view name) {
    for (std::string_view part : {".ffn_", ".exp_probs", ".channel_mix_"}) {
        if (name.find(part) != std::string_view::npos) return true;
    }
    return false;
}

int parse_block_output(std::string_view name) {
    return begins_with(name, BLOCK_OUTPUT) ? parse_number(name.substr(BLOCK_OUTPUT.size())) : -1;
}

std::string spell_lora_a(std::string_view weight) { return std::string(weight) + std::string(LORA_A); }
std::string spell_lora_b(std::string_view weight) { return std::string(weight) + std::string(LORA_B); }

bool is_lora_b(std::string_view name) {
    return name.size() > LORA_B.size() && name.substr(name.size() - LORA_B.size()) == LORA_B;
}

bool is_copy(std::string_view name) { return without_copy(name).size() != name.size(); }

std::string_view without_copy(std::string_view name) {
    const size_t first = name.find('#');
    const size_t last  = name.rfind('#');
    if (first == last || parse_number(name.substr(last + 1)) < 0) return name;
    return name.substr(first + 1, last - first - 1);
}

std::string_view given_name(std::string_view name) {
    const std::string_view original = without_copy(name);
    // ggml numbers what has no name, and calls a view of it " (reshaped)", " (view)" and so on.
    const bool is_made_up = original.empty() || original[0] == ' ' || begins_with(original, "node_") || begins_with(original, "leaf_");
    return is_made_up ? std::string_view() : original;
}

} // namespace node_names
