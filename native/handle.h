#pragma once
#include "addon_data.h"
#include "engine/failure.h"

#include <memory>
#include <napi.h>
#include <string>

// A native object that JavaScript only holds and passes back. It is freed when JavaScript forgets it; `bytes` tells the garbage
// collector how much memory it takes.
template <typename Native> class handle : public Napi::ObjectWrap<handle<Native>> {
public:
    static void define(Napi::Env env, const char * name) {
        constructor_of<Native>(env) = Napi::Persistent(handle::DefineClass(env, name, {}));
    }

    static Napi::Value make(Napi::Env env, std::shared_ptr<Native> native, size_t bytes) {
        const Napi::Object object = construct(env, std::move(native));
        auto * self = handle::Unwrap(object);
        self->bytes_ = int64_t(bytes);
        Napi::MemoryManagement::AdjustExternalMemory(env, self->bytes_);
        return object;
    }

    static std::shared_ptr<Native> read(const Napi::Value & value, const char * what) {
        if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(constructor_of<Native>(value.Env()).Value())) {
            throw failure("E_BAD_ARGUMENT", std::string(what) + " was not made by the addon");
        }
        return handle::Unwrap(value.As<Napi::Object>())->native_;
    }

    explicit handle(const Napi::CallbackInfo & info) : Napi::ObjectWrap<handle<Native>>(info), native_(read_native<Native>(info)) {}

    void Finalize(Napi::BasicEnv env) override { Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_); }

private:
    std::shared_ptr<Native> native_;
    int64_t                 bytes_ = 0;
};
