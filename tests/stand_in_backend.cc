// A ggml backend with two GPUs that compute nothing: what devices are called on a machine that has some.
#include <ggml-backend-impl.h>

#include <cstddef>

namespace {

struct Gpu {
  const char* name;
  const char* description;
};
Gpu gpus[] = {{STAND_IN "0", "stand-in, first"}, {STAND_IN "1", "stand-in, second"}};

const Gpu& GpuOf(ggml_backend_dev_t device) { return *static_cast<const Gpu*>(device->context); }

const char* RegistryName(ggml_backend_reg_t) { return STAND_IN; }
std::size_t CountDevices(ggml_backend_reg_t) { return 2; }
ggml_backend_dev_t GetDevice(ggml_backend_reg_t registry, std::size_t index) {
  static ggml_backend_device devices[2];
  ggml_backend_device& device = devices[index];
  device.reg = registry;
  device.context = &gpus[index];
  device.iface.get_name = [](ggml_backend_dev_t asked) { return GpuOf(asked).name; };
  device.iface.get_description = [](ggml_backend_dev_t asked) { return GpuOf(asked).description; };
  device.iface.get_memory = [](ggml_backend_dev_t, std::size_t* free, std::size_t* total) {
    *free = *total = std::size_t{1} << 34;
  };
  device.iface.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
  return &device;
}
void* GetAddress(ggml_backend_reg_t, const char*) { return nullptr; }

}  // namespace

extern "C" ggml_backend_reg_t ggml_backend_init() {
  static ggml_backend_reg registry = {GGML_BACKEND_API_VERSION, {RegistryName, CountDevices, GetDevice, GetAddress}, nullptr};
  return &registry;
}
