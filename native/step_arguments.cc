#include "step_arguments.h"

#include "handle.h"
#include "marshal.h"

#include <algorithm>
#include <cmath>

namespace {

void check_same_length(size_t expected, std::initializer_list<size_t> lengths, const char * what) {
    if (std::any_of(lengths.begin(), lengths.end(), [=](size_t length) { return length != expected; })) {
        throw failure("E_SHAPE", std::string(what) + ": arrays differ in length");
    }
}

void check_row(int32_t row, size_t n_rows, const char * what) {
    if (row < 0 || size_t(row) >= n_rows) {
        throw failure("E_SHAPE", std::string(what) + " names row " + std::to_string(row) + " of a batch of " + std::to_string(n_rows));
    }
}

void check_output(int32_t row, const decode_batch & batch, const char * what) {
    check_row(row, batch.tokens.size(), what);
    if (batch.outputs.at(row) == 0) {
        throw failure("E_SHAPE", std::string(what) + " names row " + std::to_string(row) + ", which has no logits");
    }
}

template <typename Native> std::vector<std::shared_ptr<Native>> read_handles(const Napi::Value & value, const char * what) {
    if (!value.IsArray()) throw failure("E_BAD_ARGUMENT", std::string(what) + " must be an array");
    const auto array = value.As<Napi::Array>();
    std::vector<std::shared_ptr<Native>> handles;
    for (uint32_t i = 0; i < array.Length(); ++i) handles.push_back(handle<Native>::read(array.Get(i), what));
    return handles;
}

template <typename Native>
const std::shared_ptr<Native> & at(const std::vector<std::shared_ptr<Native>> & handles, int32_t index, const char * what) {
    if (index < 0 || size_t(index) >= handles.size()) {
        throw failure("E_BAD_ARGUMENT", std::string(what) + ": there is no " + std::to_string(index));
    }
    return handles[index];
}

void check_step(int32_t step, int most, const char * what) {
    if (step < 0 || step > most) {
        throw failure("E_SHAPE", std::string(what) + " names step " + std::to_string(step) + "; the last is " + std::to_string(most));
    }
}

// { gates: Gate[], rows, indices: Int32Array, wereOpen: Int8Array }
void read_gates(const Napi::Value & value, const decode_batch & batch, steering_terms & terms) {
    if (value.IsUndefined()) return;
    const auto object    = read_object(value, "gates");
    const auto gates     = read_handles<const activation_gate>(object.Get("gates"), "gates.gates");
    const auto rows      = read_array<int32_t>(object.Get("rows"), "gates.rows");
    const auto indices   = read_array<int32_t>(object.Get("indices"), "gates.indices");
    const auto were_open = read_array<int8_t>(object.Get("wereOpen"), "gates.wereOpen");
    check_same_length(rows.size(), {indices.size(), were_open.size()}, "gates");
    for (size_t i = 0; i < rows.size(); ++i) {
        check_row(rows[i], batch.tokens.size(), "gates");
        terms.add_gate({rows[i], at(gates, indices[i], "gates.gates"), were_open[i] != 0});
    }
}

// { vectors: Vector[], rows, indices, steps: Int32Array, alphas: Float32Array, operators: Int8Array | undefined (all add), gates: Int32Array |
// undefined (none) }; an operator's number is that of steering_operator, plus N_OPERATORS if the norm is kept
void read_terms(const Napi::Value & value, const decode_batch & batch, steering_terms & terms) {
    if (value.IsUndefined()) return;
    const auto object  = read_object(value, "terms");
    const auto vectors = read_handles<const steering_vector>(object.Get("vectors"), "terms.vectors");
    const auto rows    = read_array<int32_t>(object.Get("rows"), "terms.rows");
    const auto indices = read_array<int32_t>(object.Get("indices"), "terms.indices");
    const auto steps   = read_array<int32_t>(object.Get("steps"), "terms.steps");
    const auto alphas  = read_array<float>(object.Get("alphas"), "terms.alphas");
    const bool adds_all  = object.Get("operators").IsUndefined();
    const auto operators = adds_all ? std::vector<int8_t>(rows.size()) : read_array<int8_t>(object.Get("operators"), "terms.operators");
    const bool is_gated  = !object.Get("gates").IsUndefined();
    const auto gates     = is_gated ? read_array<int32_t>(object.Get("gates"), "terms.gates")
                                    : std::vector<int32_t>(rows.size(), steering_terms::NO_GATE);
    check_same_length(rows.size(), {indices.size(), steps.size(), alphas.size(), operators.size(), gates.size()}, "terms");
    for (size_t i = 0; i < rows.size(); ++i) {
        check_row(rows[i], batch.tokens.size(), "terms");
        const auto & vector = at(vectors, indices[i], "terms.vectors");
        check_step(steps[i], vector->n_steps(), "terms"); // n_steps stands for the mean
        if (!std::isfinite(alphas[i])) throw failure("E_NOT_FINITE", "terms.alphas holds a value that is not finite");
        if (operators[i] < 0 || operators[i] >= 2 * N_OPERATORS) {
            throw failure("E_BAD_ARGUMENT", "terms.operators: there is no " + std::to_string(operators[i]));
        }
        terms.add(rows[i], vector, steps[i], alphas[i], steering_operator(operators[i] % N_OPERATORS), operators[i] >= N_OPERATORS, gates[i]);
    }
}

// { captures: Capture[], rows, indices, steps: Int32Array, weights: Float64Array }
std::vector<capture_request> read_captures(const Napi::Value & value, const decode_batch & batch) {
    std::vector<capture_request> requests;
    if (value.IsUndefined()) return requests;
    const auto object   = read_object(value, "captures");
    const auto captures = read_handles<activation_capture>(object.Get("captures"), "captures.captures");
    const auto rows     = read_array<int32_t>(object.Get("rows"), "captures.rows");
    const auto indices  = read_array<int32_t>(object.Get("indices"), "captures.indices");
    const auto steps    = read_array<int32_t>(object.Get("steps"), "captures.steps");
    const auto weights  = read_array<double>(object.Get("weights"), "captures.weights");
    check_same_length(rows.size(), {indices.size(), steps.size(), weights.size()}, "captures");
    for (const auto & capture : captures) requests.push_back({capture, {}});
    for (size_t i = 0; i < rows.size(); ++i) {
        check_row(rows[i], batch.tokens.size(), "captures");
        const auto & capture = at(captures, indices[i], "captures.captures");
        check_step(steps[i], capture->n_steps() - 1, "captures");
        if (!std::isfinite(weights[i])) throw failure("E_NOT_FINITE", "captures.weights holds a value that is not finite");
        requests[indices[i]].rows.push_back({rows[i], steps[i], weights[i]});
    }
    return requests;
}

// { baselines, strong: Int32Array, strongAlphas, topP, alphaMax: Float64Array, reductions: Int8Array (0 mean, 1 sum) }
std::vector<alpha_request> read_alphas(const Napi::Value & value, const decode_batch & batch) {
    std::vector<alpha_request> requests;
    if (value.IsUndefined()) return requests;
    const auto object     = read_object(value, "alphas");
    const auto baselines  = read_array<int32_t>(object.Get("baselines"), "alphas.baselines");
    const auto strong     = read_array<int32_t>(object.Get("strong"), "alphas.strong");
    const auto strong_alphas = read_array<double>(object.Get("strongAlphas"), "alphas.strongAlphas");
    const auto top_p      = read_array<double>(object.Get("topP"), "alphas.topP");
    const auto alpha_max  = read_array<double>(object.Get("alphaMax"), "alphas.alphaMax");
    const auto reductions = read_array<int8_t>(object.Get("reductions"), "alphas.reductions");
    check_same_length(baselines.size(), {strong.size(), strong_alphas.size(), top_p.size(), alpha_max.size(), reductions.size()}, "alphas");
    for (size_t i = 0; i < baselines.size(); ++i) {
        check_output(baselines[i], batch, "alphas");
        check_output(strong[i], batch, "alphas");
        if (!(top_p[i] > 0 && top_p[i] <= 1)) throw failure("E_BAD_ARGUMENT", "topP must be above 0 and at most 1");
        if (!(alpha_max[i] >= 0)) throw failure("E_BAD_ARGUMENT", "alphaMax must be at least 0");
        if (!std::isfinite(strong_alphas[i])) throw failure("E_NOT_FINITE", "alphas.strongAlphas holds a value that is not finite");
        requests.push_back({baselines[i], strong[i], strong_alphas[i], top_p[i], alpha_max[i],
            reductions[i] == 0 ? kl_reduction::mean : kl_reduction::sum});
    }
    return requests;
}

// { baselines, candidates, ends: Int32Array, nats: Float64Array }; the candidates of a budget end at its `ends`
std::vector<budget_request> read_budgets(const Napi::Value & value, const decode_batch & batch) {
    std::vector<budget_request> requests;
    if (value.IsUndefined()) return requests;
    const auto object     = read_object(value, "budgets");
    const auto baselines  = read_array<int32_t>(object.Get("baselines"), "budgets.baselines");
    const auto candidates = read_array<int32_t>(object.Get("candidates"), "budgets.candidates");
    const auto ends       = read_array<int32_t>(object.Get("ends"), "budgets.ends");
    const auto nats       = read_array<double>(object.Get("nats"), "budgets.nats");
    check_same_length(baselines.size(), {ends.size(), nats.size()}, "budgets");
    constexpr const char * ENDS = "budgets.ends must rise to the number of candidates";
    int32_t begin = 0;
    for (size_t i = 0; i < baselines.size(); ++i) {
        check_output(baselines[i], batch, "budgets");
        if (ends[i] < begin || size_t(ends[i]) > candidates.size()) throw failure("E_SHAPE", ENDS);
        if (!(nats[i] >= 0)) throw failure("E_BAD_ARGUMENT", "budgets.nats must be at least 0");
        budget_request request{baselines[i], {candidates.begin() + begin, candidates.begin() + ends[i]}, nats[i]};
        for (int32_t row : request.candidates) check_output(row, batch, "budgets");
        requests.push_back(std::move(request));
        begin = ends[i];
    }
    if (size_t(begin) != candidates.size()) throw failure("E_SHAPE", ENDS);
    return requests;
}

std::shared_ptr<token_sampler> read_sampler(const Napi::Value & value) {
    return value.IsNull() ? nullptr : handle<token_sampler>::read(value, "samplers");
}

std::vector<int32_t> read_allowed(const Napi::Value & value) {
    return value.IsNull() ? std::vector<int32_t>{} : read_array<int32_t>(value, "allowed");
}

// { rows (-1 - b: the one that budget b chooses), targets: Int32Array (a target of -1: none, -2: the token's own probability),
//   settles: Int8Array, samplers: (Sampler | null)[], allowed: (Int32Array | null)[] }
std::vector<sample_request> read_samples(const Napi::Value & value, const decode_batch & batch, size_t n_budgets) {
    std::vector<sample_request> requests;
    if (value.IsUndefined()) return requests;
    const auto object   = read_object(value, "samples");
    const auto rows     = read_array<int32_t>(object.Get("rows"), "samples.rows");
    const auto targets  = read_array<int32_t>(object.Get("targets"), "samples.targets");
    const auto settles  = read_array<int8_t>(object.Get("settles"), "samples.settles");
    const auto samplers = read_object(object.Get("samplers"), "samples.samplers");
    const auto allowed  = read_object(object.Get("allowed"), "samples.allowed");
    check_same_length(rows.size(), {targets.size(), settles.size()}, "samples");
    for (size_t i = 0; i < rows.size(); ++i) {
        if (rows[i] >= 0 || -1 - int64_t(rows[i]) >= int64_t(n_budgets)) check_output(rows[i], batch, "samples");
        requests.push_back({rows[i], read_sampler(samplers.Get(uint32_t(i))), targets[i], read_allowed(allowed.Get(uint32_t(i))),
            settles[i] != 0});
    }
    return requests;
}

// { rows: Int32Array, samplers: (Sampler | null)[], allowed: (Int32Array | null)[] }
std::vector<guess_request> read_guesses(const Napi::Value & value, const decode_batch & batch) {
    std::vector<guess_request> requests;
    if (value.IsUndefined()) return requests;
    const auto object   = read_object(value, "guesses");
    const auto rows     = read_array<int32_t>(object.Get("rows"), "guesses.rows");
    const auto samplers = read_object(object.Get("samplers"), "guesses.samplers");
    const auto allowed  = read_object(object.Get("allowed"), "guesses.allowed");
    for (size_t i = 0; i < rows.size(); ++i) {
        check_output(rows[i], batch, "guesses");
        requests.push_back({rows[i], read_sampler(samplers.Get(uint32_t(i))), read_allowed(allowed.Get(uint32_t(i)))});
    }
    return requests;
}

} // namespace

decode_step read_step(const Napi::Object & step) {
    decode_step result;
    auto & batch = result.batch;
    batch.tokens    = read_array<int32_t>(step.Get("tokens"), "tokens");
    batch.positions = read_array<int32_t>(step.Get("positions"), "positions");
    batch.seq_ids   = read_array<int32_t>(step.Get("sequences"), "sequences");
    batch.outputs   = read_array<int8_t>(step.Get("outputs"), "outputs");
    check_same_length(batch.tokens.size(), {batch.positions.size(), batch.seq_ids.size(), batch.outputs.size()}, "batch");
    read_gates(step.Get("gates"), batch, result.terms);
    read_terms(step.Get("terms"), batch, result.terms);
    result.captures = read_captures(step.Get("captures"), batch);
    result.alphas   = read_alphas(step.Get("alphas"), batch);
    result.budgets  = read_budgets(step.Get("budgets"), batch);
    result.samples  = read_samples(step.Get("samples"), batch, result.budgets.size());
    result.guesses  = read_guesses(step.Get("guesses"), batch);
    return result;
}
