"""Samples for a benchmark: one driver under `eval.geneval`, `eval.vbench_t2v` and `eval.vbench_i2v`.

    OUT/                               what the scorer reads, and nothing else
      00012/samples/00003.png          GenEval, with 00012/grid.png and 00012/metadata.jsonl: a folder appears whole
      PROMPT-3.mp4                     VBench and VBench-I2V
    OUT_records/                       everything else
      run.json                         what was asked for: model, settings, prompt list
      00012/00003.png.json             how a sample was made; from it `lumos generate --from-json` makes it again
      PROMPT-3.mp4.json
      00012/00003.png                  a finished image that waits for the others of its prompt
      .staging/HOST-PID-*/             what a worker is writing

The records stand apart because the scorers take what they find: VBench gives all videos the suffix of the first file
it lists, and GenEval opens whatever in `samples/` begins like an image's name, `00003.png.json` too.

The list of samples is cut into batches once, from its beginning, and worker r of n takes batches r, r + n, ... So a
sample stands in the same batch, and is the same byte for byte, however many workers there are. Its seed follows from
the base seed, the official prompt and its index. Nothing is locked: two workers never make the same sample, files and
folders get their names by rename, and a run that is started again makes what is not there.
"""
