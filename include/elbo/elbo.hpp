// Everything a program that embeds the engine needs.
//
//   #include <cstdio>
//   #include <elbo/elbo.hpp>
//
//   elbo::Config config = elbo::config_for_recipe("vae");
//   elbo::Dataset data = elbo::Dataset::open("mnist");
//   elbo::Trainer trainer(config, std::move(data), elbo::make_device("auto"));
//   trainer.train();
//   const elbo::Estimate elbo = trainer.evaluate("test").elbo;
//   std::printf("elbo: %.2f ± %.2f nats per sample\n", elbo.value, elbo.standard_error);
#pragma once

#include "host/analysis/analysis.hpp"
#include "host/analysis/analysis_files.hpp"
#include "host/analysis/analysis_json.hpp"
#include "host/analysis/discrete.hpp"
#include "host/analysis/gaussian.hpp"
#include "host/data/dataset.hpp"
#include "host/train/generation.hpp"
#include "host/train/recipe.hpp"
#include "host/train/run_directory.hpp"
#include "host/train/trainer.hpp"
