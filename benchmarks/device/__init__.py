"""What a GPU is for, part by part: `bash benchmarks/gpu.sh`, and what to make of it in ../FIRST_RUN.md."""
