#pragma once
#include "addon_data.h"
#include "engine/abortable.h"
#include "job.h"
#include "marshal.h"

#include <functional>
#include <memory>
#include <napi.h>
#include <string>
#include <type_traits>
#include <vector>

// The JavaScript object of a native one that lives until dispose(), or until JavaScript forgets it. `Wrap` has a NAME for messages,
// e.g. "context".
template <typename Wrap, typename Native> class native_wrap : public Napi::ObjectWrap<Wrap> {
public:
    using method = Napi::ClassPropertyDescriptor<Wrap>;

    explicit native_wrap(const Napi::CallbackInfo & info) : Napi::ObjectWrap<Wrap>(info), native_(read_native<Native>(info)) {}

protected:
    // Defines the JavaScript class: with these methods and dispose().
    static void define_class(Napi::Env env, const char * class_name, std::vector<method> methods) {
        methods.push_back(Wrap::InstanceMethod("dispose", &native_wrap::dispose));
        constructor_of<Native>(env) = Napi::Persistent(Wrap::DefineClass(env, class_name, methods));
    }

    // Throws E_DISPOSED.
    const std::shared_ptr<Native> & native() const {
        if (!native_) throw failure("E_DISPOSED", std::string("the ") + Wrap::NAME + " was disposed");
        return native_;
    }

    bool is_disposed() const { return native_ == nullptr; }

    // A job in flight holds its own reference.
    virtual void dispose(const Napi::CallbackInfo &) { native_.reset(); }

private:
    std::shared_ptr<Native> native_;
};

// The same for a native object that does one job at a time, with a number of threads that can be set between jobs.
template <typename Wrap, typename Native> class worker_wrap : public native_wrap<Wrap, Native> {
public:
    using native_wrap<Wrap, Native>::native_wrap;
    using typename native_wrap<Wrap, Native>::method;

protected:
    // With setThreads(), abort() where the work can be stopped, and dispose().
    static void define_class(Napi::Env env, const char * class_name, std::vector<method> methods) {
        methods.push_back(Wrap::InstanceMethod("setThreads", &worker_wrap::set_threads));
        if constexpr (CAN_ABORT) methods.push_back(Wrap::InstanceMethod("abort", &worker_wrap::abort));
        native_wrap<Wrap, Native>::define_class(env, class_name, std::move(methods));
    }

    // Throws E_DISPOSED, E_BUSY.
    const std::shared_ptr<Native> & idle() const {
        const auto & native = this->native();
        if (is_busy_) throw failure("E_BUSY", std::string("the ") + Wrap::NAME + " is busy with the previous call");
        return native;
    }

    // Starts a job, once all arguments are read: to read them may have run code of the caller's that disposed of the object, or
    // started a job. Throws E_DISPOSED, E_BUSY.
    template <typename Result, typename Run, typename Convert> Napi::Value start(Run run, Convert convert) {
        auto native = idle();
        is_busy_ = true;
        if constexpr (CAN_ABORT) native->clear_abort();
        return job<Result>::start(this->Value(), [native, run = std::move(run)] { return run(*native); }, std::move(convert),
                                  [this] { is_busy_ = false; });
    }

private:
    static constexpr bool CAN_ABORT = std::is_base_of_v<abortable, Native>;

    void set_threads(const Napi::CallbackInfo & info) {
        guarded(info.Env(), [&] {
            const auto n_threads = read_int(info[0], "nThreads", 1);
            idle()->set_threads(n_threads);
        });
    }

    void abort(const Napi::CallbackInfo &) { stop(); }

    void dispose(const Napi::CallbackInfo & info) override {
        stop();
        native_wrap<Wrap, Native>::dispose(info);
    }

    void stop() {
        if constexpr (CAN_ABORT) {
            if (is_busy_ && !this->is_disposed()) this->native()->request_abort();
        }
    }

    bool is_busy_ = false;
};
