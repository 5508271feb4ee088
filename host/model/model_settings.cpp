#include "host/model/model_settings.hpp"

namespace elbo {

void ModelSettings::check() const {
  check_ranges(*this);
  NetworkSettings::check();
  ClassifierSettings::check(*this);
  BottleneckSettings::check(*this);
  DiscriminatorSettings::check(*this);
  InputSettings::check(*this);
  ObjectiveSettings::check(*this);
  ComputationSettings::check(*this);
  refuse_if(reconstruction_weight == 0.0 && !classifies() && !adversarial(),
            said(*this, reconstruction_weight), said(*this, discriminator),
            "there is nothing to learn; use a weight above 0, or discriminator data or code");
}

}  // namespace elbo
