// The CUDA execution of every op: launch_op puts an op's kernels on a queue and returns.
//
// Matrix products run at full capacity, so they also compute a batch's inactive rows. Kernels keep
// these rows harmless: their inputs and gradients are zero, all other values are finite.
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

/// Returns the bytes of Queue::scratch, 16-byte aligned, that an op's kernels need in addition to
/// the op's own arrays. The op has exclusive use of the scratch; its content need not be
/// initialised or kept.
size_t scratch_bytes(const ConvolutionBackwardWeights&);
template <class O>
size_t scratch_bytes(const O&) {
  return 0;
}

/// Returns the memory that an op's first kernel may read before it waits for the previous kernel,
/// if Queue::early_reads is set: a product's weights, which were usually written long before.
AccessList early_reads(const DenseForward&);
AccessList early_reads(const DenseBackwardInput&);
AccessList early_reads(const ConvolutionForward&);
AccessList early_reads(const ConvolutionBackwardInput&);
template <class O>
AccessList early_reads(const O&) {
  return {};
}

}  // namespace elbo::cuda
