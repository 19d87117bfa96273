#include "engine/decode_step.h"

#include "engine/failure.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace {

// The distributions of the rows between which KLs are wanted, each computed once: all properties share the baseline. Those that are surely
// needed are computed together.
class distributions {
public:
    distributions(llama_session & session, const decode_step & step) : session_(session) {
        std::set<int32_t> wanted;
        for (const auto & request : step.alphas) wanted.insert({request.baseline, request.strong});
        for (const auto & request : step.budgets) {
            wanted.insert(request.baseline);
            if (!request.candidates.empty()) wanted.insert(request.candidates.front());
        }
        const std::vector<int32_t> rows(wanted.begin(), wanted.end());
        std::vector<std::optional<distribution>> made(rows.size());
        session.threads().for_each(int32_t(rows.size()), [&](int32_t i) {
            made[size_t(i)].emplace(session.logits(rows[size_t(i)]), session.weights().n_vocab());
        });
        for (size_t i = 0; i < rows.size(); ++i) of_row_.emplace(rows[i], std::move(*made[i]));
    }

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
        int32_t row    = requests[first].baseline;
        bool    missed = false;
        for (size_t i = first; i < requests.size(); ++i) {
            if (requests[i].baseline != row) continue;
            if (result.chosen[i] >= 0) row = requests[i].candidates[result.chosen[i]];
            else missed = true;
        }
        result.chosen_rows.push_back(row);
        result.missed.push_back(missed);
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

struct picked_token {
    int32_t token           = UNSETTLED;
    double  log_probability = std::numeric_limits<double>::quiet_NaN();
};

picked_token pick(const llama_session & session, const sample_request & request, int32_t row) {
    picked_token picked;
    if (row == UNSETTLED) return picked;
    const int32_t n_vocab = session.weights().n_vocab();
    const float * logits  = session.logits(row);
    picked.token = request.target;
    if (picked.token < 0) picked.token = request.sampler ? request.sampler->sample(logits, request.allowed) : arg_max(logits, n_vocab);
    else if (request.sampler) request.sampler->take(logits, request.allowed, request.target);
    if (request.target == NO_TARGET || picked.token < 0) return picked;
    const distribution next(logits, n_vocab);
    if (next.is_finite()) picked.log_probability = next.log_probability(picked.token);
    else picked.token = -1;
    return picked;
}

void sample(llama_session & session, const decode_step & step, step_result & result) {
    const auto row_of = [&](const sample_request & request) {
        if (request.row >= 0) return request.settles ? settled_row(request.row, step.alphas, result) : request.row;
        const auto first = size_t(-1 - request.row);
        return request.settles && result.missed.at(first) ? UNSETTLED : result.chosen_rows.at(first);
    };
    std::vector<picked_token> picked(step.samples.size());
    session.threads().for_each(int32_t(picked.size()), [&](int32_t i) {
        const auto & request = step.samples[size_t(i)];
        picked[size_t(i)] = pick(session, request, row_of(request));
    });
    const auto & weights = session.weights();
    for (size_t i = 0; i < picked.size(); ++i) {
        const int32_t token = picked[i].token;
        const bool    ends  = token >= 0 && weights.is_end(token);
        if (token >= 0 && !ends && step.samples[i].target < 0) {
            const std::string piece = weights.detokenise({token});
            result.pieces.insert(result.pieces.end(), piece.begin(), piece.end());
        }
        result.tokens.push_back(token);
        result.log_probabilities.push_back(picked[i].log_probability);
        result.ends.push_back(ends ? 1 : 0);
        result.piece_ends.push_back(int32_t(result.pieces.size()));
    }
}

void guess(llama_session & session, const decode_step & step, step_result & result) {
    const int32_t n_vocab = session.weights().n_vocab();
    result.guesses.resize(step.guesses.size());
    session.threads().for_each(int32_t(step.guesses.size()), [&](int32_t i) {
        const auto &  request = step.guesses[size_t(i)];
        logit_mixture mixture{session.logits(request.baseline), {}};
        for (size_t k = 0; k < step.alphas.size(); ++k) {
            const auto & measured = step.alphas[k];
            if (measured.baseline != request.baseline || measured.strong_alpha == 0) continue;
            mixture.parts.push_back({session.logits(measured.strong), float(result.alphas[k] / measured.strong_alpha)});
        }
        int32_t token;
        if (request.sampler) {
            std::vector<float> logits(static_cast<size_t>(n_vocab));
            mixture.write(0, n_vocab, logits.data());
            token = request.sampler->peek(logits.data(), request.allowed);
        } else {
            token = arg_max(mixture, n_vocab);
        }
        result.guesses[size_t(i)] = token >= 0 && session.weights().is_end(token) ? -1 : token;
    });
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
    std::set<const token_sampler *> samplers;
    for (const auto & request : step.samples) {
        check(session, request.sampler, request.allowed);
        if (request.sampler && !samplers.insert(request.sampler.get()).second) {
            throw failure("E_BAD_ARGUMENT", "a sampler picks one token per decode"); // which of two came first would be open
        }
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
    distributions next(session, step);
    measure(next, step.alphas, result);
    choose(next, step.budgets, result);
    sample(session, step, result);
    guess(session, step, result); // as the samplers are after the samples
    session.threads().rest();
    return result;
}
