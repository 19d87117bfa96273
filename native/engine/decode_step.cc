#include "engine/decode_step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace {

void measure(const llama_session & session, const std::vector<alpha_request> & requests, step_result & result) {
    const int32_t n_vocab = session.weights().n_vocab();
    std::map<int32_t, distribution> distributions; // by row: the baseline serves all properties
    const auto of_row = [&](int32_t row) -> const distribution & {
        return distributions.try_emplace(row, session.logits(row), n_vocab).first->second;
    };
    for (const auto & request : requests) {
        const double kl = top_p_divergence(of_row(request.baseline), of_row(request.strong), request.top_p, request.reduction);
        result.kls.push_back(std::isfinite(kl) ? kl : std::numeric_limits<double>::quiet_NaN());
        result.alphas.push_back(std::isfinite(kl) ? std::clamp(kl, 0.0, request.alpha_max) : 0.0);
    }
}

} // namespace

step_result run_step(llama_session & session, decode_step step) {
    for (const auto & [row, sampler] : step.samples) {
        if (sampler) session.weights().check_own(sampler->model_id());
    }
    session.decode(step.batch, std::move(step.plan), std::move(step.captures));
    step_result result;
    measure(session, step.alphas, result);
    for (const auto & [row, sampler] : step.samples) {
        const float * logits = session.logits(row);
        result.tokens.push_back(sampler ? sampler->sample(logits) : arg_max(logits, session.weights().n_vocab()));
    }
    return result;
}
