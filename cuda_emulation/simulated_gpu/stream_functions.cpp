// The CUDA runtime's functions: streams and events.
#include <algorithm>

#include "cuda_emulation/simulated_gpu/call.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

using namespace elbo::cuda::simulated;

namespace {

cudaError_t create_stream(const char* name, cudaStream_t* stream, unsigned flags) {
  return call(name, kOrdinary, [&](Call&) {
    auto made = std::make_unique<CUstream_st>();
    made->number = static_cast<uint32_t>(Gpu::get().streams.size());
    made->blocking = (flags & cudaStreamNonBlocking) == 0;
    *stream = made.get();
    Gpu::get().streams.push_back(std::move(made));
  });
}

cudaError_t create_event(const char* name, cudaEvent_t* event, unsigned flags) {
  return call(name, kOrdinary, [&](Call&) {
    auto made = std::make_unique<CUevent_st>();
    made->flags = flags;
    *event = made.get();
    Gpu::get().events.push_back(std::move(made));
  });
}

/// Ends the call with cudaErrorNotReady if the entry is not done. Otherwise records that the host
/// has observed its completion.
void query(const Call& call, const EntryPointer& entry) {
  if (entry == nullptr) return;
  if (!entry->done) call.refuse(cudaErrorNotReady);
  Gpu::get().learn(*entry);
}

void need_outside_of_capture(const Call& call, const CUevent_st& event) {
  if (event.capture == nullptr) return;
  event.capture->invalid = true;
  call.misuse(cudaErrorCapturedEvent, "of an event recorded in a capture");
}

/// Makes the stream join the capture in which the event was recorded.
void join_capture(const Call& call, CUstream_st& stream, const CUevent_st& event) {
  if (stream.capture != nullptr && stream.capture != event.capture) {
    stream.capture->invalid = event.capture->invalid = true;
    call.misuse(cudaErrorStreamCaptureMerge, "joins two captures");
  }
  stream.capture = event.capture;
  for (const cudaGraphNode_t node : event.nodes)
    if (std::ranges::find(stream.dependencies, node) == stream.dependencies.end())
      stream.dependencies.push_back(node);
}

bool is_left_out() {
  static uint64_t waits = 0;
  const uint64_t without = Options::get().without_event;
  if (without == 0 || ++waits % without != 0) return false;
  ++Options::get().planted;
  return true;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return create_stream("cudaStreamCreate", stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return create_stream("cudaStreamCreateWithFlags", stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call("cudaStreamDestroy", kReleases, [&](Call& call) {
    if (stream == nullptr) call.refuse(cudaErrorInvalidResourceHandle);
    CUstream_st& where = call.stream(stream);
    where.alive = false;  // queued work still runs
    if (where.capture != nullptr) report_defect("cudaStreamDestroy: of a captured stream");
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call("cudaStreamSynchronize", kOrdinary, [&](Call& call) {
    CUstream_st& where = call.stream(stream);
    if (where.capture != nullptr) {
      where.capture->invalid = true;
      call.misuse(cudaErrorStreamCaptureUnsupported, "of a stream that is captured");
    }
    call.wait_for(where.last);
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call("cudaStreamQuery", kUnsafeInCapture,
              [&](Call& call) { query(call, call.stream(stream).last); });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", kUnsafeInCapture, [&](Call& call) { call.wait_for_all(); });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return create_event("cudaEventCreate", event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return create_event("cudaEventCreateWithFlags", event, flags);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", kReleases, [&](Call& call) {
    if (event == nullptr) call.refuse(cudaErrorInvalidResourceHandle);
    CUevent_st& which = call.event(event);
    which.alive = false;
    which.recorded = nullptr;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", kOrdinary, [&](Call& call) {
    CUevent_st& which = call.event(event);
    CUstream_st& where = call.stream(stream);
    which.capture = where.capture;
    if (where.capture != nullptr)
      which.nodes = where.dependencies;
    else
      which.recorded = Gpu::get().enqueue(where);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", kOrdinary, [&](Call& call) {
    const CUevent_st& which = call.event(event);
    CUstream_st& where = call.stream(stream);
    if (which.capture != nullptr) return join_capture(call, where, which);
    if (where.capture != nullptr) {
      where.capture->invalid = true;
      call.misuse(cudaErrorStreamCaptureIsolation, "a captured stream waits for other work");
    }
    if (which.recorded != nullptr && !is_left_out()) Gpu::get().enqueue(where, {which.recorded});
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", kOrdinary, [&](Call& call) {
    const CUevent_st& which = call.event(event);
    need_outside_of_capture(call, which);
    call.wait_for(which.recorded);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", kUnsafeInCapture, [&](Call& call) {
    const CUevent_st& which = call.event(event);
    need_outside_of_capture(call, which);
    query(call, which.recorded);
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return call("cudaEventElapsedTime", kOrdinary, [&](Call& call) {
    const CUevent_st &first = call.event(start), &last = call.event(end);
    if (first.recorded == nullptr || last.recorded == nullptr)
      call.misuse(cudaErrorInvalidResourceHandle, "of events that were not recorded");
    if (((first.flags | last.flags) & cudaEventDisableTiming) != 0)
      call.misuse(cudaErrorInvalidResourceHandle, "of events that do not time");
    if (!first.recorded->done || !last.recorded->done) call.refuse(cudaErrorNotReady);
    *milliseconds = static_cast<float>((last.recorded->time - first.recorded->time) / 1000.0);
  });
}

}  // extern "C"
