// Tests of what no model shows: the spelling of names, and graphs that another llama.cpp might build. test/native/engine.test.ts builds
// and runs them. Prints a line per test, "ok" or "FAILED" and its name; exits with 1 when one failed.
#include "engine/failure.h"
#include "engine/node_names.h"
#include "engine/thread_pool.h"
#include "engine/zero_adapter.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

bool all_passed = true;

void test(const char * name, bool passed) {
    std::printf("%s %s\n", passed ? "ok" : "FAILED", name);
    all_passed &= passed;
}

void test_names() {
    using namespace node_names;
    const std::string name = spell_block_weight(17, ATTENTION_OUTPUT);
    const auto weight = parse_block_weight(name);
    test("a weight's name is spelled", name == "blk.17.attn_output.weight");
    test("a weight's name is parsed", weight && weight->layer == 17 && weight->part == ATTENTION_OUTPUT);
    for (const char * wrong : {"", "blk.", "blk.7", "blk.7.", "blk..attn_output.weight", "blk.7a.ffn_up.weight", "blk.-7.ffn_up.weight",
                               "blk. 7.ffn_up.weight", "blk.07.ffn_up.weight", "blk.1234567.ffn_up.weight", "enc.blk.7.ffn_up.weight",
                               "BLK.7.ffn_up.weight"}) {
        test(("not a block's weight: \"" + std::string(wrong) + "\"").c_str(), !parse_block_weight(wrong));
    }
    test("a block's output", parse_block_output("l_out-0") == 0 && parse_block_output("l_out-31") == 31);
    for (const char * wrong : {"", "l_out", "l_out-", "l_out-x", "l_out--1", "l_out-3 (reshaped)", "l_out-3x", "l_out-03", "l_out-1234567",
                               "CUDA0#l_out-3#0", "ffn_out-3", "all_out-3"}) {
        test(("not a block's output: \"" + std::string(wrong) + "\"").c_str(), parse_block_output(wrong) == -1);
    }
    test("the adapter's weights", spell_lora_a("w") == "w.lora_a" && spell_lora_b("w") == "w.lora_b");
    test("lora_b is a suffix", is_lora_b("w.lora_b") && !is_lora_b(".lora_b") && !is_lora_b("w.lora_a") && !is_lora_b("w.lora_b.x"));
    test("a copy", is_copy("CUDA0#l_out-3#0") && without_copy("CUDA0#l_out-3#0") == "l_out-3");
    for (const char * wrong : {"", "#", "##", "l_out-3", "a#b", "a#b#", "a#b#c"}) {
        test(("not a copy: \"" + std::string(wrong) + "\"").c_str(), !is_copy(wrong) && without_copy(wrong) == wrong);
    }
    test("names that were given", given_name("l_out-3") == "l_out-3" && given_name("CUDA0#l_out-3#1") == "l_out-3");
    for (const char * made_up : {"", "node_12", "leaf_3", " (reshaped)", "CPU#node_12#0"}) {
        test(("made up by ggml: \"" + std::string(made_up) + "\"").c_str(), given_name(made_up).empty());
    }
}

// W_O's product and the adapter's: scale * (B * (A * input)), as llama.cpp builds them.
struct adapted_product {
    adapted_product() : context(ggml_init({64 * ggml_tensor_overhead(), nullptr, true}), ggml_free) {
        input     = matrix(4, 3, "kqv_out-7");
        a         = matrix(4, 1, "blk.7.attn_output.weight.lora_a");
        b         = matrix(1, 6, "blk.7.attn_output.weight.lora_b");
        a_product = ggml_mul_mat(context.get(), a, input);
        b_product = ggml_mul_mat(context.get(), b, a_product);
        scaled    = ggml_scale(context.get(), b_product, 1);
    }

    ggml_tensor * matrix(int64_t columns, int64_t rows, const char * name) {
        return ggml_set_name(ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, rows), name);
    }

    // True when it is refused with E_NO_SITE, and no node was changed.
    bool is_refused(int layer = 7) {
        const std::vector<ggml_tensor *> nodes{scaled, a_product, b_product};
        std::vector<ggml_op> before;
        for (const auto * node : nodes) before.push_back(node->op);
        try {
            drop_zero_adapter(layer, scaled);
            return false;
        } catch (const failure & error) {
            for (size_t i = 0; i < nodes.size(); ++i) {
                if (nodes[i]->op != before[i]) return false;
            }
            return error.code == "E_NO_SITE";
        }
    }

    std::unique_ptr<ggml_context, decltype(&ggml_free)> context;
    ggml_tensor *input, *a, *b, *a_product, *b_product, *scaled;
};

void test_adapter() {
    adapted_product whole;
    drop_zero_adapter(7, whole.scaled);
    test("the adapter's nodes are dropped", whole.scaled->op == GGML_OP_NONE && whole.a_product->op == GGML_OP_NONE
        && whole.b_product->op == GGML_OP_NONE);

    adapted_product copied;
    ggml_set_name(copied.b, "CUDA0#blk.7.attn_output.weight.lora_b#0");
    drop_zero_adapter(7, copied.scaled);
    test("the adapter's weights may be copies", copied.scaled->op == GGML_OP_NONE);

    const std::pair<const char *, std::function<void(adapted_product &)>> graphs[] = {
        {"a bias", [](auto & graph) { graph.scaled = graph.matrix(6, 1, "blk.7.attn_output.bias"); }},
        {"a product that is not scaled", [](auto & graph) { graph.scaled = graph.b_product; }},
        {"a scaled weight", [](auto & graph) { graph.scaled->src[0] = graph.b; }},
        {"nothing that is scaled", [](auto & graph) { graph.scaled->src[0] = nullptr; }},
        {"one product", [](auto & graph) { graph.b_product->src[1] = graph.input; }},
        {"a product of nothing", [](auto & graph) { graph.b_product->src[1] = nullptr; }},
        {"a product with no weight", [](auto & graph) { graph.b_product->src[0] = nullptr; }},
        {"another weight as B", [](auto & graph) { ggml_set_name(graph.b, "blk.7.ffn_up.weight"); }},
        {"another weight as A", [](auto & graph) { ggml_set_name(graph.a, "blk.7.ffn_down.weight"); }},
        {"an adapter for another weight", [](auto & graph) { ggml_set_name(graph.a, "blk.7.attn_q.weight.lora_a"); }},
    };
    for (const auto & [name, change] : graphs) {
        adapted_product graph;
        change(graph);
        test((std::string("not the adapter: ") + name).c_str(), graph.is_refused());
    }
    test("not the adapter: another layer's", adapted_product().is_refused(8));
}

void test_threads() {
    thread_pool pool;
    test("threads start", pool.start(3));
    std::mutex                mutex;
    std::set<std::thread::id> threads;
    std::vector<int>          calls(64);
    pool.for_each(64, [&](int32_t i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1)); // so that no thread is done before the others have begun
        const std::lock_guard<std::mutex> lock(mutex);
        threads.insert(std::this_thread::get_id());
        ++calls[size_t(i)];
    });
    test("threads share the work", threads.size() > 1);
    test("each piece of work is done once", std::all_of(calls.begin(), calls.end(), [](int n) { return n == 1; }));
    std::string thrown;
    try {
        pool.for_each(64, [](int32_t i) {
            if (i == 5) std::this_thread::sleep_for(std::chrono::milliseconds(20));
            if (i >= 5) throw std::runtime_error(std::to_string(i));
        });
    } catch (const std::runtime_error & error) {
        thrown = error.what();
    }
    test("the failure of the lowest number is thrown", thrown == "5");
    pool.start(int32_t(std::max(2u, std::thread::hardware_concurrency()))); // as many as processors: these may rest
    for (int round = 0; round < 20; ++round) {
        std::fill(calls.begin(), calls.end(), 0);
        pool.rest();
        pool.rest();
        pool.for_each(64, [&](int32_t i) { ++calls[size_t(i)]; });
        if (std::any_of(calls.begin(), calls.end(), [](int n) { return n != 1; })) break;
    }
    test("threads work again after a rest", std::all_of(calls.begin(), calls.end(), [](int n) { return n == 1; }));
    int more = 0;
    pool.start(1);
    pool.rest(); // there are none
    pool.for_each(3, [&](int32_t) { ++more; });
    test("one thread does all the work", more == 3);
}

} // namespace

// The argument: the folder of ggml's back ends.
int main(int, char ** arguments) {
    ggml_backend_load_all_from_path(arguments[1]);
    std::setvbuf(stdout, nullptr, _IONBF, 0); // a crash shows how far it came
    test_names();
    test_adapter();
    test_threads();
    return all_passed ? 0 : 1;
}
