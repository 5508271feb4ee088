// The CUDA execution of every op: launch_op puts an op's kernels on a queue and returns.
//
// Rows past a batch's active ones are computed along, since matrix products run at full capacity;
// kernels keep them harmless: inputs and gradients are zero there, everything else is finite.
#pragma once

#include "kernels/cuda/port.cuh"
#include "kernels/program.hpp"

namespace elbo::cuda {

void launch_op(const RandomFill&, const Queue&);
void launch_op(const PermutationFill&, const Queue&);
void launch_op(const GatherBatch&, const Queue&);
void launch_op(const DenseForward&, const Queue&);
void launch_op(const DenseBackwardInput&, const Queue&);
void launch_op(const DenseBackwardWeights&, const Queue&);
void launch_op(const ConvolutionForward&, const Queue&);
void launch_op(const ConvolutionBackwardInput&, const Queue&);
void launch_op(const ConvolutionBackwardWeights&, const Queue&);
void launch_op(const ResampleForward&, const Queue&);
void launch_op(const ResampleBackward&, const Queue&);
void launch_op(const GroupNormForward&, const Queue&);
void launch_op(const GroupNormBackward&, const Queue&);
void launch_op(const SwapAxes&, const Queue&);
void launch_op(const LatentForward&, const Queue&);
void launch_op(const KlWeights&, const Queue&);
void launch_op(const LatentBackward&, const Queue&);
void launch_op(const ImportanceWeights&, const Queue&);
void launch_op(const LikelihoodTerms&, const Queue&);
void launch_op(const LikelihoodMean&, const Queue&);
void launch_op(const CategoricalTerms&, const Queue&);
void launch_op(const L1Terms&, const Queue&);
void launch_op(const GradientSum&, const Queue&);
void launch_op(const ColumnSum&, const Queue&);
void launch_op(const SquaredDistance&, const Queue&);
void launch_op(const SquaredNorm&, const Queue&);
void launch_op(const OptimizerUpdate&, const Queue&);

/// Bytes of memory, 16-byte aligned, that an op's kernels need beside the op's own, as Queue's
/// scratch, which nothing else may use meanwhile. What it holds before and after does not matter.
size_t scratch_bytes(const ConvolutionBackwardWeights&);
template <class O>
size_t scratch_bytes(const O&) {
  return 0;
}

/// The memory that an op's first kernel reads before it waits for the previous kernel if
/// Queue::early_reads is set: the weights of a product, which as a rule are older than that kernel.
AccessList early_reads(const DenseForward&);
AccessList early_reads(const DenseBackwardInput&);
AccessList early_reads(const ConvolutionForward&);
AccessList early_reads(const ConvolutionBackwardInput&);
template <class O>
AccessList early_reads(const O&) {
  return {};
}

}  // namespace elbo::cuda
