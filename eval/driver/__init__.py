"""Outputs for a benchmark: one driver under `eval.geneval`, `eval.vbench_t2v` and `eval.vbench_i2v`.

    OUT/                               what the scorer reads, and nothing else
      00012/samples/00003.png          GenEval, with 00012/grid.png and 00012/metadata.jsonl: a folder appears whole
      PROMPT-3.mp4                     VBench and VBench-I2V
    OUT_records/                       everything else
      run.json                         what was asked for: model, settings, prompt list
      00012/00003.png.json             how an output was made; from it `lumos generate --from-json` makes it again
      PROMPT-3.mp4.json
      00012/00003.png                  a finished image that waits for the others of its prompt
      .staging/.making.*.tmp/          what a worker is writing

The records stand apart because the scorers take what they find: VBench gives all videos the suffix of the first file
it lists, and GenEval opens whatever in `samples/` begins like an image's name, `00003.png.json` too.

The outputs are made by `lumos.cli.jobs.runner`, which says why they are the same from any number of workers; here is
what a benchmark adds: its list, its seeds (a hash of the base seed, the official prompt and the index), its folder.
"""
