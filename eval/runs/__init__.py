"""An evaluation in progress: settings, batches kept as they are done, shards, engines, summaries."""
