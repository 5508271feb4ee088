#include "host/data/data_settings.hpp"

namespace elbo {

void DataSettings::check(Combination& c, const Dataset& dataset) const {
  const DatasetReader* reader = dataset.reader();
  const std::string rows = "on rows of " + to_string(dataset.sample_shape()) + " in " +
                           (dataset.path().empty() ? "memory" : dataset.path().string());
  c.refuse_unless(reader != nullptr && reader->decodes,
                  rows +
                      ": only pictures that are decoded (png, jpg) can be resized; prepare the "
                      "array instead",
                  image_size, image_channels);
  c.idle_unless(reader != nullptr && reader->skips_bad, rows + ": no picture is decoded", skip_bad);
  const bool own_validation = dataset.has("validation") && !dataset.holds_out();
  c.idle_unless(!own_validation, "beside validation rows in a file of their own",
                validation_fraction, validation_split);
  c.idle_unless(dataset.has("validation"), "without validation rows", validation_split);
}

}  // namespace elbo
