#include "engine/decode_step.h"

#include "engine/failure.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>

namespace {

// The distributions of a decode's rows, each computed once: all properties share the baseline.
class distributions {
public:
    explicit distributions(const llama_session & session) : session_(session) {}

    const distribution & of(int32_t row) {
        return of_row_.try_emplace(row, session_.logits(row), session_.weights().n_vocab()).first->second;
    }

private:
    const llama_session &           session_;
    std::map<int32_t, distribution> of_row_;
};

void measure(distributions & next, const std::vector<alpha_request> & requests, step_result & result) {
    for (const auto & request : requests) {
        const double kl = top_p_divergence(next.of(request.baseline), next.of(request.strong), request.top_p, request.reduction);
        result.kls.push_back(std::isfinite(kl) ? kl : std::numeric_limits<double>::quiet_NaN());
        result.alphas.push_back(std::isfinite(kl) ? std::clamp(kl, 0.0, request.alpha_max) : 0.0);
    }
}

void choose(distributions & next, const std::vector<budget_request> & requests, step_result & result) {
    std::set<int32_t> rejected;
    for (const auto & request : requests) {
        int32_t chosen = rejected.count(request.baseline) > 0 ? UNREACHED : BASELINE;
        for (size_t i = 0; i < request.candidates.size(); ++i) {
            const double kl = chosen != BASELINE ? std::numeric_limits<double>::quiet_NaN()
                : top_p_divergence(next.of(request.candidates[i]), next.of(request.baseline), 1, kl_reduction::sum);
            if (kl <= request.nats) chosen = int32_t(i);
            result.candidate_kls.push_back(kl);
        }
        if (chosen != BASELINE) rejected.insert(request.baseline);
        for (size_t i = 0; i < request.candidates.size(); ++i) {
            if (int32_t(i) != chosen) rejected.insert(request.candidates[i]);
        }
        result.chosen.push_back(chosen);
    }
    for (size_t first = 0; first < requests.size(); ++first) {
        int32_t row = requests[first].baseline;
        for (size_t i = first; i < requests.size(); ++i) {
            if (requests[i].baseline == row && result.chosen[i] >= 0) row = requests[i].candidates[result.chosen[i]];
        }
        result.chosen_rows.push_back(row);
    }
}

// The row among P and every S that equals the output row, if they share one history; UNSETTLED if none does.
int32_t settled_row(int32_t baseline, const std::vector<alpha_request> & measured, const step_result & result) {
    int32_t row = baseline;
    for (size_t i = 0; i < measured.size(); ++i) {
        if (measured[i].baseline != baseline) continue;
        if (std::isnan(result.kls[i])) return UNSETTLED;
        if (result.alphas[i] == 0) continue;
        if (row != baseline || result.alphas[i] != measured[i].strong_alpha) return UNSETTLED;
        row = measured[i].strong;
    }
    return row;
}

void sample(const llama_session & session, const sample_request & request, const decode_step & step, step_result & result) {
    const int32_t n_vocab = session.weights().n_vocab();
    const int32_t row     = request.settles ? settled_row(request.row, step.alphas, result) : request.row >= 0 ? request.row : result.chosen_rows.at(-1 - request.row);
    const float * logits  = row == UNSETTLED ? nullptr : session.logits(row);
    double        log_probability = std::numeric_limits<double>::quiet_NaN();
    int32_t       token = logits == nullptr ? UNSETTLED : request.target;
    if (logits != nullptr && token < 0) token = request.sampler ? request.sampler->sample(logits, request.allowed) : arg_max(logits, n_vocab);
    if (logits != nullptr && request.target >= 0 && request.sampler) request.sampler->take(logits, request.allowed, request.target);
    if (request.target != NO_TARGET && token >= 0) {
        const distribution next(logits, n_vocab);
        if (next.is_finite()) log_probability = next.log_probability(token);
        else token = -1;
    }
    result.tokens.push_back(token);
    result.log_probabilities.push_back(log_probability);
    const auto & weights = session.weights();
    const bool ends = token >= 0 && weights.is_end(token);
    result.ends.push_back(ends ? 1 : 0);
    if (token >= 0 && !ends && request.target < 0) {
        const std::string piece = weights.detokenise({token});
        result.pieces.insert(result.pieces.end(), piece.begin(), piece.end());
    }
    result.piece_ends.push_back(int32_t(result.pieces.size()));
}

void guess(const llama_session & session, const guess_request & request, const std::vector<alpha_request> & measured, step_result & result) {
    const int32_t n_vocab  = session.weights().n_vocab();
    const float * baseline = session.logits(request.baseline);
    std::vector<float> mixture(baseline, baseline + n_vocab);
    for (size_t i = 0; i < measured.size(); ++i) {
        if (measured[i].baseline != request.baseline || measured[i].strong_alpha == 0) continue;
        const float * strong = session.logits(measured[i].strong);
        const float   share  = float(result.alphas[i] / measured[i].strong_alpha);
        for (int32_t token = 0; token < n_vocab; ++token) mixture[token] += share * (strong[token] - baseline[token]);
    }
    const int32_t token = request.sampler ? request.sampler->peek(mixture.data(), request.allowed) : arg_max(mixture.data(), n_vocab);
    result.guesses.push_back(token >= 0 && session.weights().is_end(token) ? -1 : token);
}

// Throws E_MODEL_MISMATCH, E_SHAPE.
void check(const llama_session & session, const std::shared_ptr<token_sampler> & sampler, const std::vector<int32_t> & allowed) {
    if (sampler) session.weights().check_own(sampler->model_id());
    if (!allowed.empty() && (!sampler || allowed.size() != size_t(session.weights().n_vocab() + 31) / 32)) {
        throw failure("E_SHAPE", "allowed must have one bit per token, and needs a sampler");
    }
}

} // namespace

step_result run_step(llama_session & session, decode_step step) {
    for (const auto & request : step.samples) {
        check(session, request.sampler, request.allowed);
        if (request.target >= session.weights().n_vocab()) {
            throw failure("E_BAD_TOKEN", "target " + std::to_string(request.target) + " is outside the vocabulary");
        }
    }
    for (const auto & request : step.guesses) check(session, request.sampler, request.allowed);
    session.decode(step.batch, std::move(step.terms), std::move(step.captures));
    step_result result;
    for (const auto & gate : session.gates()) {
        result.probabilities.push_back(gate.probability);
        result.gates.push_back(gate.value);
    }
    distributions next(session);
    measure(next, step.alphas, result);
    choose(next, step.budgets, result);
    for (const auto & request : step.samples) sample(session, request, step, result);
    for (const auto & request : step.guesses) guess(session, request, step.alphas, result); // as the samplers are after the samples
    return result;
}
