#include "kernels/curand.hpp"

#include <dlfcn.h>

#include <string>

#include "kernels/core/error.hpp"

namespace elbo {
namespace {

// cuRAND's C interface, declared here so that a build without the toolkit can use the library too.
constexpr int kPhilox4x32 = 161;  // CURAND_RNG_PSEUDO_PHILOX4_32_10

template <class Function>
void resolve(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw DeviceError(std::string("libcurand: no symbol ") + name);
}

void check(int status, const char* call) {
  if (status != 0)
    throw DeviceError(std::string("cuRAND: ") + call + " failed with status " +
                      std::to_string(status));
}

}  // namespace

struct CurandGenerator::Library {
  int (*create)(void**, int);
  int (*create_host)(void**, int);
  int (*destroy)(void*);
  int (*set_seed)(void*, unsigned long long);
  int (*set_offset)(void*, unsigned long long);
  int (*generate)(void*, unsigned*, size_t);
  int (*generate_normal)(void*, float*, size_t, float, float);

  static const Library& load() {
    static const Library library = [] {
      void* handle = dlopen("libcurand.so.10", RTLD_NOW | RTLD_LOCAL);
      if (handle == nullptr)
        throw DeviceError(std::string("noise curand needs cuRAND: ") + dlerror());
      Library l;
      resolve(handle, "curandCreateGenerator", l.create);
      resolve(handle, "curandCreateGeneratorHost", l.create_host);
      resolve(handle, "curandDestroyGenerator", l.destroy);
      resolve(handle, "curandSetPseudoRandomGeneratorSeed", l.set_seed);
      resolve(handle, "curandSetGeneratorOffset", l.set_offset);
      resolve(handle, "curandGenerate", l.generate);
      resolve(handle, "curandGenerateNormal", l.generate_normal);
      return l;
    }();
    return library;
  }
};

CurandGenerator::CurandGenerator(const std::shared_ptr<Device>& device, uint64_t seed)
    : library_(Library::load()) {
  if (device->shares_host_memory())
    check(library_.create_host(&generator_, kPhilox4x32), "curandCreateGeneratorHost");
  else
    check(library_.create(&generator_, kPhilox4x32), "curandCreateGenerator");
  check(library_.set_seed(generator_, seed), "curandSetPseudoRandomGeneratorSeed");
}

CurandGenerator::~CurandGenerator() { library_.destroy(generator_); }

void CurandGenerator::normals(float* out, size_t count) {
  check(library_.generate_normal(generator_, out, count, 0.0f, 1.0f), "curandGenerateNormal");
}

void CurandGenerator::bits(uint32_t* out, size_t count) {
  check(library_.generate(generator_, out, count), "curandGenerate");
}

void CurandGenerator::seek(uint64_t offset) {
  check(library_.set_offset(generator_, offset), "curandSetGeneratorOffset");
}

}  // namespace elbo
