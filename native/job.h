#pragma once
#include "engine/failure.h"
#include "engine/log_sink.h"
#include "engine/work_counts.h"

#include <functional>
#include <napi.h>
#include <string>
#include <utility>

// The JavaScript Error for a failure, with all its fields; lib/native turns it into a SteeringError.
inline Napi::Error to_js_error(Napi::Env env, const failure & f) {
    Napi::Error error = Napi::Error::New(env, f.what());
    error.Set("code", Napi::String::New(env, f.code));
    error.Set("llamaStatus", Napi::Number::New(env, f.llama_status));
    error.Set("state", Napi::String::New(env, f.state));
    return error;
}

// Runs a synchronous entry point and turns failures into JavaScript exceptions.
template <typename Body> auto guarded(Napi::Env env, Body body) {
    ++work_done.calls;
    const log_sink log;
    try {
        return body();
    } catch (const failure & f) {
        throw to_js_error(env, f);
    } catch (const Napi::Error &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw to_js_error(env, failure("E_LLAMA", "out of memory"));
    } catch (const std::exception & e) {
        throw to_js_error(env, failure("E_LLAMA", e.what()));
    } catch (...) {
        throw to_js_error(env, failure("E_LLAMA", UNREADABLE_ERROR));
    }
}

// Work on a libuv thread that settles a JavaScript promise. `run` must not touch N-API, and owns what it needs.
// `owner` stays alive until the promise settles; `settled` then runs on the JavaScript thread.
template <typename Result> class job : public Napi::AsyncWorker {
public:
    using run_function     = std::function<Result()>;
    using convert_function = std::function<Napi::Value(Napi::Env, Result &)>;

    static Napi::Promise start(Napi::Object owner, run_function run, convert_function convert, std::function<void()> settled = [] {}) {
        auto * self = new job(owner, std::move(run), std::move(convert), std::move(settled));
        Napi::Promise promise = self->deferred_.Promise();
        self->Queue();
        return promise;
    }

protected:
    void Execute() override {
        const log_sink log;
        try {
            result_ = run_();
        } catch (const failure & f) {
            fail(f);
        } catch (const std::bad_alloc &) {
            fail(failure("E_LLAMA", "out of memory"));
        } catch (const std::exception & e) {
            fail(failure("E_LLAMA", e.what()));
        } catch (...) {
            fail(failure("E_LLAMA", UNREADABLE_ERROR));
        }
    }

    void OnOK() override {
        run_ = nullptr; // drops the last reference to a disposed object on this thread, before JavaScript continues
        settled_();
        try {
            deferred_.Resolve(convert_(Env(), result_));
        } catch (const Napi::Error & error) {
            deferred_.Reject(error.Value());
        }
    }

    void OnError(const Napi::Error &) override {
        run_ = nullptr;
        settled_();
        deferred_.Reject(to_js_error(Env(), failure_).Value());
    }

private:
    job(Napi::Object owner, run_function run, convert_function convert, std::function<void()> settled)
        : Napi::AsyncWorker(owner.Env()), owner_(Napi::Persistent(owner)), run_(std::move(run)), convert_(std::move(convert)),
          settled_(std::move(settled)), deferred_(Napi::Promise::Deferred::New(owner.Env())) {}

    void fail(const failure & f) {
        failure_ = f;
        SetError(f.code); // any text that is not empty
    }

    Napi::ObjectReference   owner_;
    run_function            run_;
    convert_function        convert_;
    std::function<void()>   settled_;
    Napi::Promise::Deferred deferred_;
    Result                  result_{};
    failure                 failure_{"E_LLAMA", "unknown failure"};
};
