#include "host/model/model_settings.hpp"

namespace elbo {

void ModelSettings::check() const {
  check_ranges(*this);
  Combination combination(*this);
  check(combination);
}

void ModelSettings::check(Combination& c) const {
  NetworkSettings::check(c);
  LikelihoodSettings::check(c);
  ClassifierSettings::check(c, *this);
  BottleneckSettings::check(c, *this);
  DiscriminatorSettings::check(c, *this);
  InputSettings::check(c, *this);
  ObjectiveSettings::check(c, *this, *this);
  ComputationSettings::check(c, *this);
  c.refuse_if(reconstruction_weight == 0.0 && !classifies() && !adversarial(),
              c.said(reconstruction_weight), c.said(discriminator),
              "there is nothing to learn; use a weight above 0, or discriminator data or code");
  c.idle_unless(residual_blocks == 0 || discriminator == DiscriminatorKind::data,
                "with " + c.said(residual_blocks) + ": their stages have group norm",
                normalization);
  c.idle_unless(convolutional() || !hidden.empty() || !classifier_hidden.empty(),
                "without hidden layers", activation);
  c.idle_unless(!discriminator_hidden.empty() ||
                    (discriminator == DiscriminatorKind::data && convolutional()),
                "without hidden layers", discriminator_activation);
}

}  // namespace elbo
