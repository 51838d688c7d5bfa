// Operations of convlens's own for TensorFlow on processors, through its C interface. Loading the addon registers them.
//
// ConvlensConvolution3x3(x, filter, [bias, [side]]; pad, turned, rectify) → y
// ConvlensMaxPoolGradient(x, dy; size, stride, before: two numbers each, one for rows and one for columns) → dx
// ConvlensMaxima(x: [n, …, c]) → y: [2, n, c], the largest number of each channel, and the first cell that has it
// ConvlensNormalization(x, scale, shift, [side]; rectify) → y

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "arithmetic.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

namespace convlens {
namespace {

// What this processor can do best; null if there is nothing for it.
const Arithmetic *best() {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")) {
    return &avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return &avx2;
#endif
  return nullptr;
}

// Threads that share the work of one operation with the thread that asks for it.
class Crew {
 public:
  // One that lives as long as the process: its threads are never joined.
  static Crew &get() {
    static Crew *crew = new Crew();
    return *crew;
  }

  int64_t parts() const { return static_cast<int64_t>(threads_.size()) + 1; }

  // Runs `work` for all parts, each on a thread of its own, and returns when all are done. Where another thread (of a
  // Worker) has the crew, the one that asks does all parts by itself.
  void run(const std::function<void(int64_t)> &work) {
    std::unique_lock<std::mutex> mine(taken_, std::try_to_lock);
    if (!mine.owns_lock()) {
      for (int64_t part = 0; part < parts(); ++part) work(part);
      return;
    }
    left_ = static_cast<int64_t>(threads_.size());
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      ++round_;
    }
    wake_.notify_all();
    work(0);
    for (int spins = 0; left_.load(std::memory_order_acquire) > 0; ++spins) {
      if (spins > SPINS) std::this_thread::yield();
    }
  }

 private:
  // About as long as waking a thread takes: the next step of an operation follows sooner.
  static constexpr int SPINS = 20000;

  Crew() {
    const char *wanted = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int64_t asked = wanted ? std::atoll(wanted) : 0;
    const int64_t all = asked > 0 ? asked : std::max(1u, std::thread::hardware_concurrency());
    try {
      for (int64_t part = 1; part < all; ++part) threads_.emplace_back([this, part] { serve(part); });
    } catch (const std::system_error &) {
      // The system gives no more threads: those that there are do the work.
    }
  }

  void serve(int64_t part) {
    for (int64_t seen = 0;;) {
      for (int spins = 0; spins < SPINS && round_.load(std::memory_order_acquire) == seen; ++spins) {}
      if (round_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
      }
      ++seen;
      (*work_)(part);
      left_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> threads_;
  std::mutex taken_, mutex_;
  std::condition_variable wake_;
  std::atomic<int64_t> round_{0}, left_{0};
  const std::function<void(int64_t)> *work_ = nullptr;
};

struct Delete {
  void operator()(TF_Tensor *tensor) const { TF_DeleteTensor(tensor); }
  void operator()(TF_Status *status) const { TF_DeleteStatus(status); }
};
using Tensor = std::unique_ptr<TF_Tensor, Delete>;
using Status = std::unique_ptr<TF_Status, Delete>;

float *floats(const Tensor &tensor) { return static_cast<float *>(TF_TensorData(tensor.get())); }

// An operation that is being computed. After a failure what it gives is not to be used.
class Call {
 public:
  explicit Call(TF_OpKernelContext *context) : context_(context), status_(TF_NewStatus()) {}

  bool failed() const { return TF_GetCode(status_.get()) != TF_OK; }

  void fail(TF_Code code, const std::string &message) {
    TF_SetStatus(status_.get(), code, message.c_str());
    TF_OpKernelContext_Failure(context_, status_.get());
  }

  Tensor input(int index) {
    TF_Tensor *tensor = nullptr;
    TF_GetInput(context_, index, &tensor, status_.get());
    if (failed()) TF_OpKernelContext_Failure(context_, status_.get());
    return Tensor(tensor);
  }

  Tensor output(const std::vector<int64_t> &shape) {
    int64_t size = sizeof(float);
    for (const int64_t side : shape) size *= side;
    Tensor tensor(TF_AllocateOutput(context_, 0, TF_FLOAT, shape.data(), static_cast<int>(shape.size()),
                                    static_cast<size_t>(size), status_.get()));
    if (failed()) TF_OpKernelContext_Failure(context_, status_.get());
    return tensor;
  }

  // Memory for numbers in between.
  std::unique_ptr<float[]> room(size_t size) {
    std::unique_ptr<float[]> memory(new (std::nothrow) float[size]);
    if (!memory) fail(TF_RESOURCE_EXHAUSTED, "OOM when allocating " + std::to_string(size) + " floats to work with");
    return memory;
  }

  int inputs() const { return TF_NumInputs(context_); }

 private:
  TF_OpKernelContext *context_;
  Status status_;
};

// What an operation was asked for with.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction *construction) : construction_(construction), status_(TF_NewStatus()) {}

  int64_t number(const char *name) {
    int64_t value = 0;
    TF_OpKernelConstruction_GetAttrInt64(construction_, name, &value, status_.get());
    return checked(value);
  }

  bool flag(const char *name) {
    unsigned char value = 0;
    TF_OpKernelConstruction_GetAttrBool(construction_, name, &value, status_.get());
    return checked(value != 0);
  }

  void pair(const char *name, int64_t values[2]) {
    TF_OpKernelConstruction_GetAttrInt64List(construction_, name, values, 2, status_.get());
    checked(0);
  }

 private:
  template <typename Value>
  Value checked(Value value) {
    if (TF_GetCode(status_.get()) != TF_OK) TF_OpKernelConstruction_Failure(construction_, status_.get());
    return value;
  }

  TF_OpKernelConstruction *construction_;
  Status status_;
};

struct ConvolutionKernel {
  int64_t pad;
  bool turned, rectify;

  explicit ConvolutionKernel(Attributes attributes)
      : pad(attributes.number("pad")), turned(attributes.flag("turned")), rectify(attributes.flag("rectify")) {}

  void compute(Call call) const {
    const Tensor x = call.input(0), filter = call.input(1);
    const Tensor bias = call.inputs() > 2 ? call.input(2) : nullptr, side = call.inputs() > 3 ? call.input(3) : nullptr;
    if (call.failed()) return;
    if (TF_NumDims(x.get()) != 4 || TF_NumDims(filter.get()) != 4) {
      return call.fail(TF_INVALID_ARGUMENT, "x and filter must have four dimensions");
    }
    const Arithmetic &arithmetic = *best();
    Convolution3x3 c = {};
    c.batch = TF_Dim(x.get(), 0);
    c.height = TF_Dim(x.get(), 1);
    c.width = TF_Dim(x.get(), 2);
    c.inputs = TF_Dim(x.get(), 3);
    c.out_height = c.height + 2 * pad - 2;
    c.out_width = c.width + 2 * pad - 2;
    c.outputs = TF_Dim(filter.get(), turned ? 2 : 3);
    c.pad = pad;
    c.turned = turned;
    c.rectify = rectify;
    const std::vector<int64_t> shape = {c.batch, c.out_height, c.out_width, c.outputs};
    const bool fits = TF_Dim(filter.get(), 0) == 3 && TF_Dim(filter.get(), 1) == 3 &&
                      TF_Dim(filter.get(), turned ? 3 : 2) == c.inputs && c.inputs > 0 && c.outputs > 0 &&
                      c.inputs % arithmetic.input_step == 0 && c.outputs % arithmetic.output_step == 0 &&
                      c.out_height > 0 && c.out_width > 0;
    const bool added = (!bias || TF_TensorElementCount(bias.get()) == c.outputs) &&
                       (!side || TF_TensorElementCount(side.get()) == c.batch * c.out_height * c.out_width * c.outputs);
    if (!fits || !added) return call.fail(TF_INVALID_ARGUMENT, "the shapes of the inputs do not fit together");
    const Tensor y = call.output(shape);
    if (call.failed()) return;
    Crew &crew = Crew::get();
    const int64_t parts = crew.parts();
    const size_t each = arithmetic.room(c), weights = 16 * c.inputs * c.outputs;
    const std::unique_ptr<float[]> memory = call.room(weights + each * parts);
    if (!memory) return;
    c.x = floats(x);
    c.filter = floats(filter);
    c.bias = bias ? floats(bias) : nullptr;
    c.side = side ? floats(side) : nullptr;
    c.y = floats(y);
    c.weights = memory.get();
    crew.run([&](int64_t part) { arithmetic.transform_filter(c, part, parts); });
    crew.run([&](int64_t part) { arithmetic.convolve(c, c.weights + weights + each * part, part, parts); });
  }
};

struct MaxPoolGradientKernel {
  MaxPoolGradient asked = {};

  explicit MaxPoolGradientKernel(Attributes attributes) {
    attributes.pair("size", asked.size);
    attributes.pair("stride", asked.stride);
    attributes.pair("before", asked.before);
  }

  void compute(Call call) const {
    const Tensor x = call.input(0), dy = call.input(1);
    if (call.failed()) return;
    if (TF_NumDims(x.get()) != 4 || TF_NumDims(dy.get()) != 4 || TF_Dim(x.get(), 0) != TF_Dim(dy.get(), 0) ||
        TF_Dim(x.get(), 3) != TF_Dim(dy.get(), 3)) {
      return call.fail(TF_INVALID_ARGUMENT, "x and dy must have four dimensions and share the first and the last");
    }
    MaxPoolGradient p = asked;
    p.batch = TF_Dim(x.get(), 0);
    p.height = TF_Dim(x.get(), 1);
    p.width = TF_Dim(x.get(), 2);
    p.channels = TF_Dim(x.get(), 3);
    p.out_height = TF_Dim(dy.get(), 1);
    p.out_width = TF_Dim(dy.get(), 2);
    // Each window must have a cell inside.
    const int64_t in[2] = {p.height, p.width}, out[2] = {p.out_height, p.out_width};
    for (int i = 0; i < 2; ++i) {
      const bool inside = p.stride[i] > 0 && p.before[i] >= 0 && p.before[i] < p.size[i] &&
                          (out[i] - 1) * p.stride[i] - p.before[i] < in[i] && (in[i] > 0 || out[i] == 0);
      if (!inside) {
        return call.fail(TF_INVALID_ARGUMENT, "the windows do not fit the shape of x");
      }
    }
    const Tensor dx = call.output({p.batch, p.height, p.width, p.channels});
    if (call.failed()) return;
    p.x = floats(x);
    p.dy = floats(dy);
    p.dx = floats(dx);
    Crew &crew = Crew::get();
    crew.run([&](int64_t part) { best()->max_pool_gradient(p, part, crew.parts()); });
  }
};

struct MaximaKernel {
  explicit MaximaKernel(Attributes) {}

  void compute(Call call) const {
    const Tensor x = call.input(0);
    if (call.failed()) return;
    const int sides = TF_NumDims(x.get());
    if (sides < 2) return call.fail(TF_INVALID_ARGUMENT, "x must have two dimensions or more");
    Maxima m = {};
    m.batch = TF_Dim(x.get(), 0);
    m.channels = TF_Dim(x.get(), sides - 1);
    m.cells = 1;
    for (int i = 1; i < sides - 1; ++i) m.cells *= TF_Dim(x.get(), i);
    // A float holds the place of each of so many.
    if (m.cells < 1 || m.cells > 1 << 24) return call.fail(TF_INVALID_ARGUMENT, "x must have 1 to 2^24 cells");
    const Tensor y = call.output({2, m.batch, m.channels});
    if (call.failed()) return;
    m.x = floats(x);
    m.values = floats(y);
    m.places = m.values + m.batch * m.channels;
    Crew &crew = Crew::get();
    crew.run([&](int64_t part) { best()->maxima(m, part, crew.parts()); });
  }
};

struct NormalizationKernel {
  bool rectify;

  explicit NormalizationKernel(Attributes attributes) : rectify(attributes.flag("rectify")) {}

  void compute(Call call) const {
    const Tensor x = call.input(0), scale = call.input(1), shift = call.input(2);
    const Tensor side = call.inputs() > 3 ? call.input(3) : nullptr;
    if (call.failed()) return;
    const int sides = TF_NumDims(x.get());
    Normalization n = {};
    n.channels = sides > 0 ? TF_Dim(x.get(), sides - 1) : 0;
    const int64_t size = TF_TensorElementCount(x.get());
    const bool fits = sides > 0 && TF_TensorElementCount(scale.get()) == n.channels &&
                      TF_TensorElementCount(shift.get()) == n.channels &&
                      (!side || TF_TensorElementCount(side.get()) == size);
    if (!fits) return call.fail(TF_INVALID_ARGUMENT, "the shapes of the inputs do not fit together");
    std::vector<int64_t> shape;
    for (int i = 0; i < sides; ++i) shape.push_back(TF_Dim(x.get(), i));
    const Tensor y = call.output(shape);
    if (call.failed() || size == 0) return;
    n.cells = size / n.channels;
    n.rectify = rectify;
    n.x = floats(x);
    n.scale = floats(scale);
    n.shift = floats(shift);
    n.side = side ? floats(side) : nullptr;
    n.y = floats(y);
    Crew &crew = Crew::get();
    crew.run([&](int64_t part) { best()->normalize(n, part, crew.parts()); });
  }
};

template <typename Kernel>
void *create(TF_OpKernelConstruction *construction) {
  return new Kernel(Attributes(construction));
}

template <typename Kernel>
void compute(void *kernel, TF_OpKernelContext *context) {
  static_cast<const Kernel *>(kernel)->compute(Call(context));
}

template <typename Kernel>
void destroy(void *kernel) {
  delete static_cast<Kernel *>(kernel);
}

void unknown_shape(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

struct Definition {
  std::vector<const char *> inputs, outputs, attributes;
};

template <typename Kernel>
void add_operation(const char *name, const Definition &definition) {
  const Status status(TF_NewStatus());
  TF_OpDefinitionBuilder *operation = TF_NewOpDefinitionBuilder(name);
  for (const char *attribute : definition.attributes) TF_OpDefinitionBuilderAddAttr(operation, attribute);
  for (const char *input : definition.inputs) TF_OpDefinitionBuilderAddInput(operation, input);
  for (const char *output : definition.outputs) TF_OpDefinitionBuilderAddOutput(operation, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(operation, unknown_shape);
  TF_RegisterOpDefinition(operation, status.get());
  if (TF_GetCode(status.get()) != TF_OK || !best()) return;
  TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", create<Kernel>, compute<Kernel>, destroy<Kernel>),
                           status.get());
}

// Where the processor has no arithmetic, the operations are known but have no kernels: TensorFlow tells who asks.
const bool added = [] {
  add_operation<ConvolutionKernel>("ConvlensConvolution3x3",
                                   {{"x: float", "filter: float", "added: num_added * float"},
                                    {"y: float"},
                                    {"num_added: int >= 0", "pad: int", "turned: bool", "rectify: bool"}});
  add_operation<MaxPoolGradientKernel>(
      "ConvlensMaxPoolGradient",
      {{"x: float", "dy: float"}, {"dx: float"}, {"size: list(int)", "stride: list(int)", "before: list(int)"}});
  add_operation<MaximaKernel>("ConvlensMaxima", {{"x: float"}, {"y: float"}, {}});
  add_operation<NormalizationKernel>("ConvlensNormalization", {{"x: float", "scale: float", "shift: float",
                                                                "side: num_sides * float"},
                                                               {"y: float"},
                                                               {"num_sides: int >= 0", "rectify: bool"}});
  return true;
}();

}  // namespace
}  // namespace convlens
