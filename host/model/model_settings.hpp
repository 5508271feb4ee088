// The settings of a model: the union of the settings of its parts.
#pragma once

#include "host/model/classifier.hpp"
#include "host/model/computation.hpp"
#include "host/model/discriminator.hpp"
#include "host/model/inputs.hpp"
#include "host/model/networks.hpp"
#include "host/model/objective.hpp"

namespace elbo {

struct ModelSettings
    : Settings<NetworkSettings, BottleneckSettings, LikelihoodSettings, ObjectiveSettings,
               ClassifierSettings, DiscriminatorSettings, InputSettings, ComputationSettings> {
  bool operator==(const ModelSettings&) const = default;

  /// Throws ConfigError for the first setting out of its range or, if there is none, for the first
  /// contradiction, with advice.
  void check() const;
  /// Checks for contradictions, and for settings that have no effect beside the others.
  void check(Combination& combination) const;
  /// Throws DataError if the data do not fit the settings.
  void check(const Dataset& dataset) const { InputSettings::check(*this, dataset); }
};

}  // namespace elbo
